//! Whole programs, from their input to what they write: one binary, since linking is what most of them would cost.

mod behaviors;
mod delivery;
mod formats;
mod growth;
mod hints;
mod interrupts;
mod law;
mod metadata;
mod monitoring;
mod planted;
mod power_loss;
mod processes;
mod programs;
mod refusals;
mod spawned_programs;
mod streaming;
mod streaming_programs;
mod support;
