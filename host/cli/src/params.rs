//! A fetcher's parameters as flags, and back to the JSON object that the module receives.
//!
//! Flags come from the module's JSON Schema: a string, integer or number takes a value, a boolean is
//! `--x` or `--no-x`, a list of strings repeats. What a flag cannot express goes through
//! `--params FILE`. The object is checked against the schema before anything runs.

use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};
use fetchhost_policy::{printable, shell_word};
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// The heading under which help lists the parameters.
const HEADING: &str = "Parameters";
/// Keeps ids of parameters apart from those of our own flags.
const PREFIX: &str = "parameter:";

/// One property of the schema, as far as the command line is concerned.
struct Property<'a> {
    name: &'a str,
    kind: Kind,
    schema: &'a Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    TextList,
    /// An object or the like: only `--params` can give it.
    Other,
}

/// Parameters and where they came from.
pub(crate) struct Params {
    /// The JSON object for the module.
    pub(crate) object: Map<String, Value>,
    /// The names of those that were typed on the command line; only these can consent.
    pub(crate) typed: Vec<String>,
}

/// Adds a fetcher's parameters to a command as flags.
pub(crate) fn add_flags(mut command: Command, schema: &Value) -> Command {
    for property in properties(schema) {
        let id = format!("{PREFIX}{}", property.name);
        let help = printable(&help(&property)).into_owned();
        let arg = Arg::new(id)
            .long(property.name.to_owned())
            .help(help)
            .help_heading(HEADING);
        command = match property.kind {
            Kind::Other => continue,
            Kind::Boolean => {
                let negative = format!("no-{}", property.name);
                let negative_id = format!("{PREFIX}{negative}");
                command
                    .arg(
                        arg.action(ArgAction::SetTrue)
                            .conflicts_with(negative_id.clone()),
                    )
                    .arg(
                        Arg::new(negative_id)
                            .long(negative)
                            .help(format!("The opposite of --{}", property.name))
                            .help_heading(HEADING)
                            .action(ArgAction::SetTrue),
                    )
            }
            Kind::TextList => command.arg(arg.value_name("VALUE").action(ArgAction::Append)),
            Kind::Text | Kind::Integer | Kind::Number => command.arg(arg.value_name("VALUE")),
        };
    }
    command
}

/// The flags that a fetcher cannot do without, each behind a space, as usage writes them.
pub(crate) fn needed_flags(schema: &Value) -> String {
    let required = schema["required"].as_array();
    let is_required = |name: &str| {
        required.is_some_and(|names| names.iter().any(|one| one.as_str() == Some(name)))
    };
    properties(schema)
        .filter(|property| is_required(property.name))
        .filter(|property| !matches!(property.kind, Kind::Other | Kind::Boolean))
        .map(|property| format!(" --{} <VALUE>", printable(property.name)))
        .collect()
}

/// Joins `--params`, `--param` and the flags, and checks the result against the schema.
///
/// What is typed wins over what the file says; typing one parameter in both forms is an error.
pub(crate) fn collect(
    schema: &Value,
    file: Option<&Path>,
    pairs: &[String],
    matches: &ArgMatches,
) -> Result<Params, Failure> {
    let mut object = match file {
        Some(path) => read_file(path)?,
        None => Map::new(),
    };
    let mut typed = Map::new();
    for property in properties(schema) {
        if let Some(value) = from_flag(&property, matches)? {
            typed.insert(property.name.to_owned(), value);
        }
    }
    for (name, value) in from_pairs(schema, pairs)? {
        if typed.insert(name.clone(), value).is_some() {
            return Err(Failure::usage(format!(
                "the parameter `{name}` is given both as `--{name}` and as `--param {name}=…`"
            )));
        }
    }
    let names = typed.keys().cloned().collect();
    object.extend(typed);
    let object = validate(schema, object, "--")?;
    Ok(Params {
        object,
        typed: names,
    })
}

/// What is typed for these parameters, each flag with its value, for a shell: what [`collect`] reads back. Left out is
/// what no flag says: `null`, and a list without items.
pub(crate) fn flags(schema: &Value, params: &Map<String, Value>) -> Vec<String> {
    let kind_of = |name: &str| properties(schema).find(|property| property.name == name);
    let mut flags = Vec::new();
    for (name, value) in params {
        let kind = kind_of(name).map_or(Kind::Other, |property| property.kind);
        let mut put = |text: &str| {
            // Else clap takes it for a flag.
            let between = if text.starts_with('-') { '=' } else { ' ' };
            flags.push(format!("--{name}{between}{}", shell_word(text)));
        };
        match (kind, value) {
            (_, Value::Null) => {}
            (Kind::Boolean, Value::Bool(true)) => flags.push(format!("--{name}")),
            (Kind::Boolean, Value::Bool(false)) => flags.push(format!("--no-{name}")),
            (Kind::Text, Value::String(text)) => put(text),
            (Kind::Integer | Kind::Number, Value::Number(number)) => put(&number.to_string()),
            (Kind::TextList, Value::Array(items)) if items.iter().all(Value::is_string) => {
                items.iter().filter_map(Value::as_str).for_each(put);
            }
            (_, other) => {
                let pair = format!("{name}={other}");
                flags.push(format!("--param {}", shell_word(&pair)));
            }
        }
    }
    flags
}

/// Reads parameters that are one JSON object, or `-` for stdin, and checks them against the schema.
pub(crate) fn from_json(schema: &Value, text: &str) -> Result<Map<String, Value>, Failure> {
    let object = if text == "-" {
        read_file(Path::new(text))?
    } else {
        object(text, "JSON")?
    };
    validate(schema, object, "")
}

fn properties(schema: &Value) -> impl Iterator<Item = Property<'_>> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| Property {
            name,
            kind: kind(schema),
            schema,
        })
}

/// The kind of value that a property takes; `null` beside another type only says that it is optional.
fn kind(schema: &Value) -> Kind {
    let named = |name: &str| match name {
        "string" => Kind::Text,
        "integer" => Kind::Integer,
        "number" => Kind::Number,
        "boolean" => Kind::Boolean,
        "array"
            if schema
                .pointer("/items/type")
                .is_some_and(|item| item == "string") =>
        {
            Kind::TextList
        }
        _ => Kind::Other,
    };
    match schema.get("type") {
        Some(Value::String(name)) => named(name),
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(Value::as_str)
            .find(|name| *name != "null")
            .map_or(Kind::Other, named),
        // An enumeration without a type is one of words.
        None if schema.get("enum").is_some() => Kind::Text,
        _ => Kind::Other,
    }
}

fn help(property: &Property<'_>) -> String {
    let text = property
        .schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut help = text
        .split("\n\n")
        .next()
        .unwrap_or_default()
        .replace('\n', " ");
    help.truncate(help.trim_end_matches('.').len());
    if let Some(words) = property.schema.get("enum").and_then(Value::as_array) {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        help.push_str(&format!(" [possible values: {}]", words.join(", ")));
    }
    match property.schema.get("default") {
        None | Some(Value::Null) => {}
        Some(Value::String(default)) => help.push_str(&format!(" [default: {default}]")),
        Some(default) => help.push_str(&format!(" [default: {default}]")),
    }
    help
}

fn from_flag(property: &Property<'_>, matches: &ArgMatches) -> Result<Option<Value>, Failure> {
    let id = format!("{PREFIX}{}", property.name);
    Ok(match property.kind {
        Kind::Other => None,
        Kind::Boolean => {
            let negative = format!("{PREFIX}no-{}", property.name);
            if matches.get_flag(&id) {
                Some(Value::Bool(true))
            } else if matches.get_flag(&negative) {
                Some(Value::Bool(false))
            } else {
                None
            }
        }
        Kind::TextList => matches
            .get_many::<String>(&id)
            .map(|values| Value::Array(values.cloned().map(Value::String).collect())),
        Kind::Text | Kind::Integer | Kind::Number => match matches.get_one::<String>(&id) {
            Some(text) => Some(typed_value(property, text)?),
            None => None,
        },
    })
}

fn from_pairs(schema: &Value, pairs: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut object = Map::new();
    for pair in pairs {
        let Some((name, text)) = pair.split_once('=') else {
            return Err(Failure::usage(format!("`--param {pair}` has no `=`"))
                .with_hint("write `--param NAME=VALUE`"));
        };
        let Some(property) = properties(schema).find(|property| property.name == name) else {
            return Err(unknown(schema, name));
        };
        let value = typed_value(&property, text)?;
        match (object.get_mut(name), value) {
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (Some(_), _) => {
                return Err(Failure::usage(format!(
                    "`--param {name}=…` is given more than once"
                )));
            }
            (None, value) => {
                object.insert(name.to_owned(), value);
            }
        }
    }
    Ok(object)
}

fn typed_value(property: &Property<'_>, text: &str) -> Result<Value, Failure> {
    let ill = |wanted: &str| {
        Failure::usage(format!(
            "the parameter `{}` must be {wanted}, not `{text}`",
            property.name
        ))
    };
    Ok(match property.kind {
        Kind::Text => Value::String(text.to_owned()),
        Kind::TextList => Value::Array(vec![Value::String(text.to_owned())]),
        Kind::Integer => {
            let number: i64 = text.parse().map_err(|_| ill("a whole number"))?;
            Value::from(number)
        }
        Kind::Number => {
            let number: f64 = text.parse().map_err(|_| ill("a number"))?;
            serde_json::Number::from_f64(number)
                .map(Value::Number)
                .ok_or_else(|| ill("a number"))?
        }
        Kind::Boolean => Value::Bool(text.parse().map_err(|_| ill("`true` or `false`"))?),
        Kind::Other => serde_json::from_str(text).map_err(|_| ill("JSON"))?,
    })
}

fn read_file(path: &Path) -> Result<Map<String, Value>, Failure> {
    let (text, shown) = if path == Path::new("-") {
        (
            std::io::read_to_string(std::io::stdin()),
            "stdin".to_owned(),
        )
    } else {
        (std::fs::read_to_string(path), path.display().to_string())
    };
    let text =
        text.map_err(|error| Failure::usage(format!("`{shown}` cannot be read: {error}")))?;
    object(&text, &shown)
}

fn object(text: &str, shown: &str) -> Result<Map<String, Value>, Failure> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Failure::usage(format!(
            "`{shown}` holds no JSON object of parameters"
        ))),
        Err(error) => Err(Failure::usage(format!("`{shown}` is no JSON: {error}"))),
    }
}

/// Checks parameters against the fetcher's schema. `prefix` is what stands before a parameter's name
/// where it was given.
pub(crate) fn validate(
    schema: &Value,
    object: Map<String, Value>,
    prefix: &str,
) -> Result<Map<String, Value>, Failure> {
    if let Some(name) = object
        .keys()
        .find(|name| !properties(schema).any(|p| p.name == name.as_str()))
    {
        return Err(unknown(schema, name));
    }
    let validator = jsonschema::validator_for(schema).map_err(|error| {
        Failure::usage(format!("the module's parameter schema is invalid: {error}"))
    })?;
    let value = Value::Object(object);
    if let Some(error) = validator.iter_errors(&value).next() {
        return Err(Failure::usage(invalid(&error, prefix))
            .with_hint("`nix-fetchhost run FETCHER --help` lists the parameters"));
    }
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(Failure::usage("the parameters are no JSON object")),
    }
}

fn invalid(error: &jsonschema::ValidationError<'_>, prefix: &str) -> String {
    if let ValidationErrorKind::Required { property } = error.kind() {
        let name = property.as_str().unwrap_or_default();
        return format!("the parameter `{prefix}{name}` is missing");
    }
    let place = error.instance_path().to_string();
    // Without the value: it may be long, and a URL in it a credential.
    let error = error.masked_with("the value");
    match place.trim_start_matches('/') {
        "" => format!("the parameters do not fit together: {error}"),
        name => format!(
            "the parameter `{}` is not valid: {error}",
            name.replace('/', ".")
        ),
    }
}

fn unknown(schema: &Value, name: &str) -> Failure {
    let known: Vec<&str> = properties(schema).map(|property| property.name).collect();
    Failure::usage(format!("the fetcher has no parameter `{name}`"))
        .with_hint(format!("it has {}", known.join(", ")))
}

#[cfg(test)]
mod tests;
