//! One file for each command.

pub(crate) mod approve;
pub(crate) mod cache;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod credential;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod exec;
pub(crate) mod fetcher;
pub(crate) mod gc;
pub(crate) mod grant;
pub(crate) mod key;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod man;
pub(crate) mod memo;
pub(crate) mod prefetch;
pub(crate) mod realise;
pub(crate) mod run;
pub(crate) mod serve;
