//! Nix expressions to paste, and one to evaluate.

use fetchhost_formats::{FixedOutput, OutputMode};

/// A fixed-output derivation for an output that is expected in a store or a binary cache.
///
/// Its builder only says how to get it there: Nix substitutes the output by its content address and
/// runs the builder only when it was found nowhere.
pub(crate) fn expected(output: &FixedOutput, command: &str) -> String {
    format!(
        "derivation {{\n  \
           name = {name};\n  \
           system = \"{arch}-{os}\";\n  \
           builder = \"/bin/sh\";\n  \
           args = [ \"-c\" {message} ];\n  \
           outputHashMode = \"{hash_mode}\";\n  \
           outputHashAlgo = \"{algorithm}\";\n  \
           outputHash = \"{hash}\";\n\
         }}",
        name = quote(output.name.as_str()),
        arch = std::env::consts::ARCH,
        os = match std::env::consts::OS {
            "macos" => "darwin",
            other => other,
        },
        message = quote(&format!(
            "echo 'not in any binary cache; run: {command}' >&2; exit 1"
        )),
        hash_mode = hash_mode(output),
        algorithm = output.hash.algorithm(),
        hash = output.hash,
    )
}

/// The store path of an output that is in the store, on one line.
///
/// It is the path of a fixed-output derivation: so it has a context, which makes the path an input of
/// whatever uses it, in pure evaluation too. Nothing builds the derivation while the path is valid. Where
/// it no longer is, Nix prints the URL, which is no address but says what to do.
pub(crate) fn store_path(output: &FixedOutput) -> String {
    format!(
        "(derivation {{ name = {name}; system = \"builtin\"; builder = \"builtin:fetchurl\"; \
         preferLocalBuild = true; \
         url = \"nix-fetchhost-exec://not-in-this-store/evaluate-again\"; \
         outputHashMode = \"{hash_mode}\"; outputHashAlgo = \"{algorithm}\"; \
         outputHash = \"{hash}\"; }}).outPath",
        name = quote(output.name.as_str()),
        hash_mode = hash_mode(output),
        algorithm = output.hash.algorithm(),
        hash = output.hash,
    )
}

/// What Nix calls the mode.
fn hash_mode(output: &FixedOutput) -> &'static str {
    match output.mode {
        OutputMode::Flat => "flat",
        OutputMode::Nar => "recursive",
    }
}

/// A Nix string literal.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '$' if rest.peek() == Some(&'{') => quoted.push_str("\\$"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn what_a_nix_string_would_interpret_is_escaped() {
        assert_eq!(quote(r#"a"b\c${d}$e"#), r#""a\"b\\c\${d}$e""#);
        assert_eq!(quote("$${x}\n"), r#""$\${x}\n""#);
    }
}
