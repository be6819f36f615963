//! Keys that sign, and what was signed before, with the programs that verify signatures as judges.

mod agent;
mod each;
mod failures;
mod judges;
mod large;
mod leave;
mod modules;
mod poison;
mod races;
mod refused;
mod remembered;
mod secrets;
mod user;
