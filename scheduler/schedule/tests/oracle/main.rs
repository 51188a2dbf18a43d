//! Random expressions against brute force: every second around changes of the clocks, every day of
//! several years, and croner where the dialects agree. The oracle shares no code with the crate.

mod days;
mod expression;
mod seconds;
