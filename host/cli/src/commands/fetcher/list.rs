//! `nix-fetchhost fetcher list`

use serde::Serialize;

use crate::catalog;
use crate::context::Context;
use crate::failure::Failure;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    fetcher: String,
    module: String,
    version: String,
    summary: String,
}

/// Lists the fetchers that can be run by name.
pub(crate) async fn list(context: &Context) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for loaded in catalog::builtins(&context.engine()?).await? {
        let description = loaded.module.description();
        for (name, fetcher) in &description.fetchers {
            rows.push(Row {
                fetcher: name.clone(),
                module: loaded.id.to_string(),
                version: description.version.clone(),
                summary: fetcher.summary.clone(),
            });
        }
    }
    rows.sort_by(|a, b| a.fetcher.cmp(&b.fetcher));
    if context.printer.json {
        return context.printer.json(&rows);
    }
    let fetcher_width = rows.iter().map(|row| row.fetcher.len()).max().unwrap_or(0);
    let module_width = rows.iter().map(|row| row.module.len()).max().unwrap_or(0);
    for row in rows {
        context.printer.result(&format!(
            "{:fetcher_width$}  {:module_width$}  {}  {}",
            row.fetcher, row.module, row.version, row.summary
        ))?;
    }
    Ok(())
}
