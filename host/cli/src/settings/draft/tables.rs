//! Tables of a TOML document, with the comments that stand above them.

use toml_edit::{DocumentMut, Item, Table, TableLike};

/// The table `key` at the top, made if need be; none when it is something else.
pub(super) fn parent<'a>(
    document: &'a mut DocumentMut,
    key: &str,
) -> Option<&'a mut dyn TableLike> {
    let mut empty = Table::new();
    // Only `[KEY.NAME]` is to be seen, no `[KEY]` of its own.
    empty.set_implicit(true);
    document
        .entry(key)
        .or_insert(Item::Table(empty))
        .as_table_like_mut()
}

/// Gives a new table its place behind its siblings, a blank line above it.
pub(super) fn place_last(table: &mut Table) {
    table.set_position(None);
    table.decor_mut().set_prefix("\n");
}

/// Sets `key`, keeping the comments around an old value.
pub(super) fn put(table: &mut dyn TableLike, key: &str, new: Item) {
    match (table.get_mut(key).and_then(Item::as_value_mut), new) {
        (Some(old), Item::Value(mut new)) => {
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        (_, new) => {
            table.insert(key, new);
        }
    }
}

/// Keeps what stood above the removed table and does not belong to it: everything up to the last
/// blank line. It goes to what now stands there.
pub(super) fn keep_comments(document: &mut DocumentMut, removed: &Table) {
    let above = removed.decor().prefix().and_then(|prefix| prefix.as_str());
    let Some((kept, _)) = above.and_then(|above| above.rsplit_once("\n\n")) else {
        return;
    };
    if !kept.contains('#') {
        return;
    }
    let mut next = None;
    positions(document.as_table(), &mut |position| {
        if Some(position) > removed.position() && next.is_none_or(|next| position < next) {
            next = Some(position);
        }
    });
    match next.and_then(|next| at(document.as_table_mut(), next)) {
        Some(table) => {
            let own = prefix(table.decor().prefix());
            table
                .decor_mut()
                .set_prefix(format!("{kept}\n{}", separated(&own)));
        }
        None => {
            let own = prefix(Some(document.trailing()));
            document.set_trailing(format!("{kept}\n{own}"));
        }
    }
}

fn prefix(text: Option<&toml_edit::RawString>) -> String {
    text.and_then(|text| text.as_str()).unwrap_or("").to_owned()
}

/// `text` behind a blank line.
fn separated(text: &str) -> String {
    if text.starts_with('\n') {
        text.to_owned()
    } else {
        format!("\n{text}")
    }
}

/// Calls `found` with the place of each table below `table`.
fn positions(table: &Table, found: &mut dyn FnMut(isize)) {
    for (_, item) in table {
        let mut one = |table: &Table| {
            if let Some(position) = table.position().filter(|_| !table.is_implicit()) {
                found(position);
            }
            positions(table, found);
        };
        match item {
            Item::Table(table) => one(table),
            Item::ArrayOfTables(tables) => tables.iter().for_each(one),
            _ => {}
        }
    }
}

/// The table below `table` at that place.
fn at(table: &mut Table, position: isize) -> Option<&mut Table> {
    for (_, item) in table.iter_mut() {
        let tables: Vec<&mut Table> = match item {
            Item::Table(table) => vec![table],
            Item::ArrayOfTables(tables) => tables.iter_mut().collect(),
            _ => Vec::new(),
        };
        for table in tables {
            if table.position() == Some(position) && !table.is_implicit() {
                return Some(table);
            }
            if let Some(found) = at(table, position) {
                return Some(found);
            }
        }
    }
    None
}
