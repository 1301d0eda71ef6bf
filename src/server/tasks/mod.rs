//! What runs by the clock or in the background.

pub mod background;
pub mod last_save;
pub mod saves;
