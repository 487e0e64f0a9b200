//! The guide: a page for each question of a program on this library. Every example runs.
//!
//! 1. [`first_job`]: a loop that can be stopped, and what its closure may do.
//! 2. [`signals`]: what each signal does, signals for a program without a loop, and what `ctrlc` and `tokio::signal`
//!    do instead.
//! 3. [`resume`]: what is kept, what must be the same, and what is refused.
//! 4. [`your_own_source`]: tasks from anywhere.
//! 5. [`testing_a_job`]: a test that interrupts.
//! 6. [`lower_floor`]: the traits and the builder below.

#[doc = include_str!("../../docs/guide/first_job.md")]
pub mod first_job {}

#[doc = include_str!("../../docs/guide/signals.md")]
pub mod signals {}

#[doc = include_str!("../../docs/guide/resume.md")]
pub mod resume {}

#[doc = include_str!("../../docs/guide/your_own_source.md")]
pub mod your_own_source {}

#[doc = include_str!("../../docs/guide/testing_a_job.md")]
pub mod testing_a_job {}

#[doc = include_str!("../../docs/guide/lower_floor.md")]
pub mod lower_floor {}
