//! `nix-fetchhost credential list`

use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::report::SCHEMA_VERSION;

/// What `credential list --json` prints. No secret is among it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "nix-fetchhost credentials")]
struct Report {
    /// 1.
    schema_version: u32,
    credentials: Vec<Row>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    source: String,
    scheme: String,
    origins: Vec<String>,
    /// Where it was written.
    from: Option<String>,
}

/// Lists the configured credentials: where each lies and who may receive it. No source is read.
pub(crate) fn list(context: &Context) -> Result<(), Failure> {
    let config = &context.settings.config;
    let row = |name: &fetchhost_policy::CredentialName,
               source: String,
               scheme: String,
               origins: &[fetchhost_policy::Origin]| Row {
        name: name.to_string(),
        source,
        scheme,
        origins: origins.iter().map(ToString::to_string).collect(),
        from: config.place_of(name).map(ToString::to_string),
    };
    let secrets = config.credentials.values().map(|spec| {
        row(
            &spec.name,
            spec.source.to_string(),
            spec.scheme.to_string(),
            &spec.origins,
        )
    });
    let certificates = config.certificates.values().map(|spec| {
        let file = spec.certificate.display();
        row(
            &spec.name,
            format!("client-certificate:{file}"),
            fetchhost_policy::CERTIFICATE_SCHEME.to_owned(),
            &spec.origins,
        )
    });
    let mut rows: Vec<Row> = secrets.chain(certificates).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    if context.printer.json {
        return context.printer.json(&Report {
            schema_version: SCHEMA_VERSION,
            credentials: rows,
        });
    }
    if rows.is_empty() {
        context
            .printer
            .note("no credential is configured; `nix-fetchhost credential set` makes one");
    }
    let width = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row).len()).max().unwrap_or(0);
    let (names, sources, schemes) = (
        width(|row| &row.name),
        width(|row| &row.source),
        width(|row| &row.scheme),
    );
    for row in &rows {
        context.printer.result(&format!(
            "{:names$}  {:sources$}  {:schemes$}  {}",
            row.name,
            row.source,
            row.scheme,
            row.origins.join(" ")
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::report::tests::is_published;

    use super::*;

    #[test]
    fn the_schema_is_the_published_one() {
        is_published::<Report>(include_str!(
            "../../../../../docs/schema/credentials.schema.json"
        ));
    }
}
