//! The RDB file that is written before the server ends.

use super::saves::saves_at_end;
use crate::log_notice;
use crate::server::state::shared::Shared;
use std::sync::atomic::Ordering;

/// Saves the data before the server ends, if that is wanted; nothing is executed after it.
///
/// # Errors
/// If they cannot be saved. Then the server goes on, unless it is to end all the same (`force`).
pub fn save_at_end(
    shared: &Shared,
    (save, no_save, force): (bool, bool, bool),
) -> Result<(), String> {
    let config = shared.config.read().clone();
    if !shared.engine.conditions().is_loading() && saves_at_end(&config, save, no_save) {
        log_notice!("Saving the final RDB snapshot before exiting");
        // What is being written in the background would be in the way.
        shared.background.stop();
        let mut engine = shared.engine.lock();
        match shared.saves.save(&mut engine, &config) {
            Err(error) if !force => return Err(error),
            _ => {}
        }
        // Before the engine is free, so that nothing is executed that is not saved.
        shared.ending.store(true, Ordering::Release);
    }
    shared.ending.store(true, Ordering::Release);
    Ok(())
}
