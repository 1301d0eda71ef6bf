//! Descriptors: as many as `maxclients` needs, or as many clients as the system's limit allows.

use crate::server::commands::migrate;
use crate::server::config::Config;
use crate::{log_notice, log_warning};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

/// What is kept for everything but clients and migrations: the log with its snapshots (some 16 at
/// most), listening sockets, standard streams, files that are looked at for a moment.
const OWN: u64 = 64;
/// What each I/O thread's runtime takes.
const IO_THREAD: u64 = 8;

/// The system allows too few descriptors.
#[derive(Debug, Error)]
#[error(
    "the limit of {limit} open files leaves none for clients: at least {needed} are needed. Raise it with \
     'ulimit -n' or LimitNOFILE"
)]
pub struct TooFew {
    limit: u64,
    needed: u64,
}

/// How many descriptors are not for clients under this configuration.
fn reserve(config: &Config) -> u64 {
    OWN + migrate::DESCRIPTORS_MAX as u64 + IO_THREAD * config.io_threads.max(1) as u64
}

/// Raises the system's limit to what `maxclients` needs, as far as it can be raised. Gives for how
/// many clients there is room.
pub fn room_for_clients(config: &Config) -> u64 {
    let reserve = reserve(config);
    let needed = u64::from(config.maxclients) + reserve;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return config.maxclients.into();
    }
    // Only a privileged process raises the hard limit; others go as far as that.
    let maximum = limit.maximum.map(|maximum| maximum.max(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum });
    if raised.is_err() {
        let within = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, within) {
            log_warning!("The limit of open files could not be raised: {error}");
        }
    }
    let now = getrlimit(Resource::Nofile).current;
    now.map_or(u64::MAX, |now| now.saturating_sub(reserve)).min(config.maxclients.into())
}

/// Lowers `maxclients` to what the system allows.
///
/// # Errors
/// If it allows none.
pub fn fit(config: &mut Config) -> Result<(), TooFew> {
    let room = room_for_clients(config);
    if room >= u64::from(config.maxclients) {
        return Ok(());
    }
    let (limit, needed) = (limit(), reserve(config) + 1);
    if room == 0 {
        return Err(TooFew { limit, needed });
    }
    log_warning!(
        "maxclients {} needs {} open files, but the system allows {limit}: it is {room} now. Raise the limit with \
         'ulimit -n' or LimitNOFILE for more",
        config.maxclients,
        u64::from(config.maxclients) + reserve(config),
    );
    config.maxclients = room as u32;
    log_notice!("{} of the {limit} open files are kept for log, snapshots and MIGRATE", needed - 1);
    Ok(())
}

fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
