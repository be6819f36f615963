//! The JSON Schema of a fetcher's parameters.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// The schema of `Params`, self-contained and as a command line can use it: a parameter that may be left
/// out is not `null` when it is, so `null` is nowhere a value and nowhere a default.
pub(crate) fn of<Params: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let mut schema: Value = settings
        .into_generator()
        .into_root_schema_for::<Params>()
        .into();
    if let Some(schema) = schema.as_object_mut() {
        // The name of a Rust type means nothing to a user.
        schema.remove("title");
        if let Some(parameters) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            for parameter in parameters.values_mut().filter_map(Value::as_object_mut) {
                without_null(parameter);
            }
        }
    }
    schema
}

/// Takes `null` out of the places where the schema of an `Option` mentions it.
fn without_null(parameter: &mut Map<String, Value>) {
    if parameter.get("default").is_some_and(Value::is_null) {
        parameter.remove("default");
    }
    if let Some(Value::Array(types)) = parameter.get_mut("type") {
        types.retain(|word| word != "null");
        if let [only] = types.as_mut_slice() {
            let only = only.take();
            parameter.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = parameter.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(choices)) = parameter.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(only)] = choices.as_mut_slice() {
            let only = std::mem::take(only);
            parameter.remove("anyOf");
            for (key, value) in only {
                // What is said about the parameter goes before what is said about its type.
                parameter.entry(key).or_insert(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(dead_code, reason = "the fields are read by the schema only")]

    use super::of;
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum Level {
        Low,
        VeryHigh,
    }

    /// How a level is used.
    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Params {
        /// Where to look.
        #[schemars(example = &"https://example.com")]
        base_url: String,
        /// How often.
        #[serde(default = "twice")]
        times: u32,
        /// Perhaps a name.
        name: Option<String>,
        /// Perhaps a level.
        #[serde(default)]
        level: Option<Level>,
        /// Any number of them.
        #[serde(default)]
        mirror: Vec<String>,
    }

    fn twice() -> u32 {
        2
    }

    #[test]
    fn doc_comments_defaults_and_examples_reach_the_schema_and_null_does_not() {
        assert_eq!(
            of::<Params>(),
            json!({
                "description": "How a level is used.",
                "type": "object",
                "properties": {
                    "base-url": {
                        "description": "Where to look.",
                        "type": "string",
                        "examples": ["https://example.com"],
                    },
                    "times": {
                        "description": "How often.",
                        "type": "integer", "format": "uint32", "minimum": 0,
                        "default": 2,
                    },
                    "name": { "description": "Perhaps a name.", "type": "string" },
                    "level": {
                        "description": "Perhaps a level.",
                        "type": "string", "enum": ["low", "very-high"],
                    },
                    "mirror": {
                        "description": "Any number of them.",
                        "type": "array", "items": { "type": "string" },
                        "default": [],
                    },
                },
                "additionalProperties": false,
                "required": ["base-url"],
            })
        );
    }
}
