//! Names of hosts in `bind`, looked up while the engine is free.
//!
//! A name server may take seconds to answer. So a connection that sends `CONFIG SET bind` waits for
//! the answer before the command is executed or queued, and what listens then finds the address
//! here.

use crate::resp::Args;
use crate::server::config::Config;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

/// With more names than this, those that are not in force are forgotten.
const NAMES_MAX: usize = 64;
/// How long the answers to one batch of requests are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Addresses by name.
#[derive(Default)]
pub struct Names(Mutex<HashMap<String, IpAddr>>);

impl Names {
    /// The address that a host in `bind` means.
    ///
    /// # Errors
    /// If it is a name that was not found.
    pub fn address(&self, host: &str) -> io::Result<IpAddr> {
        if let Ok(ip) = host.parse() {
            return Ok(ip);
        }
        let found = self.0.lock().get(host).copied();
        found.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("'{host}' has no address"))
        })
    }

    /// Looks up the names in `bind`, for the start: the calling thread waits.
    pub fn look_up_all(&self, config: &Config) {
        for bind in config.bind.iter().filter(|bind| is_name(bind.host)) {
            let found = (bind.host, 0).to_socket_addrs().ok().and_then(|mut found| found.next());
            self.note(bind.host, found.map(|address| address.ip()), config);
        }
    }

    /// Looks up names that will be in `bind`.
    pub async fn look_up(&self, names: Vec<String>, config: &Config) {
        let look_up_each = async {
            for name in &names {
                let answer = tokio::net::lookup_host((name.as_str(), 0)).await;
                let found = answer.ok().and_then(|mut found| found.next());
                self.note(name, found.map(|address| address.ip()), config);
            }
        };
        // A name without an answer by then keeps the address found before, or has none.
        let _ = tokio::time::timeout(PATIENCE, look_up_each).await;
    }

    fn note(&self, name: &str, found: Option<IpAddr>, config: &Config) {
        let mut names = self.0.lock();
        if names.len() >= NAMES_MAX {
            names.retain(|name, _| config.bind.iter().any(|bind| bind.host == name));
        }
        match found {
            Some(ip) => names.insert(name.to_owned(), ip),
            None => names.remove(name),
        };
    }
}

/// Whether a host in `bind` is a name, not an address or a wildcard.
fn is_name(host: &str) -> bool {
    !host.is_empty() && host.parse::<IpAddr>().is_err()
}

/// The names that a `CONFIG SET` puts into `bind`.
pub fn in_config_set(args: Args<'_>) -> Vec<String> {
    let is_bind = |&at: &usize| args.at(at).eq_ignore_ascii_case(b"bind");
    let values = (2..args.len().saturating_sub(1)).step_by(2).filter(is_bind);
    let values = values.filter_map(|at| std::str::from_utf8(args.at(at + 1)).ok());
    let words = values.flat_map(|value| value.split(' ').take(NAMES_MAX));
    let hosts = words.map(|word| word.strip_prefix('-').unwrap_or(word));
    let names = hosts.filter(|host| !matches!(*host, "*" | "::*") && is_name(host));
    names.take(NAMES_MAX).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::words;

    #[test]
    fn only_names_are_looked_up() {
        let names = |line: &str| in_config_set(words(line).as_args());
        assert_eq!(names("CONFIG SET port 1 BIND localhost"), ["localhost"]);
        assert_eq!(names("CONFIG SET bind 127.0.0.1 port bind"), [] as [&str; 0]);
        assert_eq!(names("CONFIG SET bind *"), [] as [&str; 0]);
        assert_eq!(names("CONFIG SET bind -::1"), [] as [&str; 0]);
        assert_eq!(names("CONFIG SET bind"), [] as [&str; 0]);
    }

    #[test]
    fn names_in_force_are_kept() {
        let names = Names::default();
        let mut config = Config::default();
        config.bind.0 = vec!["here".into()];
        let ip = "127.0.0.1".parse().ok();
        names.note("here", ip, &config);
        (0..3 * NAMES_MAX).for_each(|n| names.note(&format!("other{n}"), ip, &config));
        assert!(names.address("here").is_ok());
        assert!(names.0.lock().len() <= NAMES_MAX);
        names.note("here", None, &config);
        assert!(names.address("here").is_err());
        assert!(names.address("::1").is_ok());
    }
}
