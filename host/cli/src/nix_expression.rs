//! Nix expressions to paste.

use fetchhost_formats::FixedOutput;

/// A fixed-output derivation for an output that is expected in a store or a binary cache.
///
/// Its builder only says how to get it there: Nix substitutes the output by its content address and
/// runs the builder only when it was found nowhere.
pub(crate) fn expected(output: &FixedOutput, command: &str) -> String {
    let hash_mode = match output.mode {
        fetchhost_formats::OutputMode::Flat => "flat",
        fetchhost_formats::OutputMode::Nar => "recursive",
    };
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
        algorithm = output.hash.algorithm(),
        hash = output.hash,
    )
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
