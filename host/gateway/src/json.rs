//! JSON in which no member of an object stands twice.
//!
//! **The threat.** Of a member that stands twice one reader takes the first, and another the last: what
//! somebody saw and approved would not be what is fetched.
//!
//! **The rule.** Such an object is refused, at whatever depth.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// An object, whose members are JSON of any kind.
pub(crate) struct Object(pub(crate) Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        object(reader).map(Self)
    }
}

/// Reads an object, whose members are JSON of any kind.
pub(crate) fn object<'de, D: Deserializer<'de>>(reader: D) -> Result<Map<String, Value>, D::Error> {
    let members: BTreeMap<String, Any> = members(reader)?;
    Ok(members
        .into_iter()
        .map(|(name, Any(value))| (name, value))
        .collect())
}

/// Reads an object by the names of its members.
pub(crate) fn members<'de, D, T>(reader: D) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    reader.deserialize_map(Members(PhantomData))
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some(name) = access.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format_args!("{name:?} stands twice")));
            }
            members.insert(name, access.next_value()?);
        }
        Ok(members)
    }
}

/// JSON of any kind.
struct Any(Value);

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(AnyVisitor).map(Self)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Any(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        let members = Members::<Any>(PhantomData).visit_map(access)?;
        let members = members.into_iter().map(|(name, Any(value))| (name, value));
        Ok(Value::Object(members.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_any_reader_reads() {
        for text in [
            "{}",
            r#"{"b":null,"a":[true,-1,18446744073709551615,1.5,"x\u00e9",{"a":{}}]}"#,
        ] {
            let Object(read) = serde_json::from_str(text).unwrap();
            let any: Value = serde_json::from_str(text).unwrap();
            assert_eq!(Value::Object(read), any);
        }
        assert!(serde_json::from_str::<Object>("[]").is_err());
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(500), "]".repeat(500));
        assert!(serde_json::from_str::<Object>(&deep).is_err());
    }

    #[test]
    fn a_member_that_stands_twice_is_refused() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"b":[{"a":1,"c":2,"a":3}]}"#,
            r#"{"b":{"a":{"x":1,"x":2}}}"#,
        ] {
            let told = serde_json::from_str::<Object>(text).err().unwrap();
            assert!(told.to_string().contains("stands twice"), "{told}");
        }
    }
}
