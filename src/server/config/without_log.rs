//! What `appendonly no` means for what is written: one sentence for the start and `--test-config`.

use super::directives::{Config, find};
use super::parse::Places;

/// What is durable and what is not, which lines make it so, and which one would change it. `None`
/// if there is a log.
pub(super) fn durability(config: &Config, places: &Places) -> Option<String> {
    if config.appendonly {
        return None;
    }
    let place = |name: &str| places.get(name).map_or("the default of a Redis", String::as_str);
    let (log, save) = (place("appendonly"), place("save"));
    let changed = "'appendonly yes' there makes each write durable before it is acknowledged";
    if config.save.0.is_empty() {
        let lines = match log == save {
            true => format!("'appendonly no' and 'save \"\"' (both {log})"),
            false => format!("'appendonly no' ({log}) and 'save \"\"' ({save})"),
        };
        return Some(format!(
            "{lines}: what is written is lost when the server ends, however it ends, unless SAVE, BGSAVE or SHUTDOWN \
             SAVE wrote it to an RDB file; {changed}"
        ));
    }
    let points = find(b"save").map(|(directive, _)| directive.get(config)).unwrap_or_default();
    Some(format!(
        "'appendonly no' ({log}): data are durable as of the last RDB file, which 'save {points}' ({save}) and a clean \
         shutdown write, and in a crash or a power cut what was written since the last RDB file is lost; {changed}"
    ))
}
