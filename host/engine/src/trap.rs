//! From what wasmtime says to what the user reads.

use fetchhost_policy::{Limit, Limits, Overrun};
use fetchhost_transport::Echoed;
use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::capture::Tail;
use crate::failure::{Misbehaved, Misbehaviour};

/// How many functions of a backtrace are shown.
const FUNCTIONS: usize = 16;

/// How many characters of one foreign text are shown.
const TEXT_CHARS: usize = 400;

/// An error that a host function raises to end the guest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    #[error("{0}")]
    Limit(#[from] Overrun),
    #[error("{function}")]
    Forbidden { function: String },
    #[error("used the host while describing itself")]
    NotWhileDescribing,
    #[error("{0}")]
    Echoed(#[from] Echoed),
}

/// Explains why a guest call ended.
pub(crate) fn explain(error: &wasmtime::Error, limits: &Limits, printed: &Tail) -> Misbehaved {
    Misbehaved {
        what: what(error, limits),
        printed: printed.lines(),
    }
}

fn what(error: &wasmtime::Error, limits: &Limits) -> Misbehaviour {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return match stop {
            Stop::Limit(overrun) => Misbehaviour::Limit(*overrun),
            Stop::Forbidden { function } => Misbehaviour::Forbidden {
                function: shown(function),
            },
            Stop::NotWhileDescribing => Misbehaviour::NotWhileDescribing,
            Stop::Echoed(Echoed { origin, credential }) => Misbehaviour::EchoedSecret {
                origin: origin.clone(),
                credential: credential.clone(),
            },
        };
    }
    if matches!(error.downcast_ref(), Some(Trap::OutOfFuel)) {
        return Misbehaviour::Limit(limits.overrun(Limit::Fuel));
    }
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        return Misbehaviour::Limit(limits.overrun(Limit::TableEntries));
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return Misbehaviour::Exit { code: *code };
    }
    let message = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let message = message.strip_prefix("wasm trap: ").unwrap_or(&message);
    let functions = error.downcast_ref().map(functions).unwrap_or_default();
    Misbehaviour::Trap {
        message: shown(message),
        functions,
    }
}

/// The functions of a backtrace, innermost first, as their authors wrote them.
fn functions(trace: &WasmBacktrace) -> Vec<String> {
    let names: Vec<String> = trace
        .frames()
        .iter()
        .map(|frame| match frame.func_name() {
            // The alternate form leaves out the hash at the end.
            Some(name) => shown(&format!("{:#}", rustc_demangle::demangle(name))),
            None => format!("function {}", frame.func_index()),
        })
        .collect();
    let shown = past_the_panic(&names);
    shown[..shown.len().min(FUNCTIONS)].to_vec()
}

/// Where a Rust panic was raised: what lies above it is the machinery of panicking, a dozen functions
/// that say nothing.
fn past_the_panic(names: &[String]) -> &[String] {
    match names
        .iter()
        .rposition(|name| name.starts_with("core::panicking::"))
    {
        Some(last) if last + 1 < names.len() => &names[last + 1..],
        _ => names,
    }
}

/// Foreign text as one line, escaped and cut.
pub(crate) fn shown(text: &str) -> String {
    cut(text, TEXT_CHARS)
}

/// Foreign text as one line, escaped and cut to `chars` characters.
pub(crate) fn cut(text: &str, chars: usize) -> String {
    let end = text.char_indices().nth(chars).map(|(position, _)| position);
    let mut shown = fetchhost_policy::printable(&text[..end.unwrap_or(text.len())]).into_owned();
    if end.is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_cut_at_a_character_and_escaped() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöü", 2), "äö…");
        assert_eq!(cut("a\nb", 9), "a\\nb");
    }

    #[test]
    fn the_machinery_of_a_panic_is_left_out() {
        let names = [
            "abort",
            "std::panicking::x",
            "core::panicking::panic_fmt",
            "mine",
            "fetch",
        ];
        let names = names.map(str::to_owned);
        assert_eq!(past_the_panic(&names), ["mine", "fetch"]);
        assert_eq!(past_the_panic(&names[3..]), ["mine", "fetch"]);
        assert_eq!(past_the_panic(&names[..3]).len(), 3);
    }

    #[test]
    fn out_of_fuel_is_told_as_the_limit() {
        let limits = Limits::default();
        let what = what(&wasmtime::Error::from(Trap::OutOfFuel), &limits);
        assert_eq!(what, Misbehaviour::Limit(limits.overrun(Limit::Fuel)));
    }
}
