//! A reply of the JetStream API: the bytes as they came, and their fields by name.

use bytes::Bytes;
use serde_json::Value;

/// A successful reply. `raw` is what `--json` prints: no field of a newer server is lost.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) raw: Bytes,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields(&self.body)
    }
}

/// Reads the fields of a JSON object leniently: what is absent is empty, zero or false, as in NATS's replies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a Value);

impl<'a> Fields<'a> {
    /// The object under `name`; an empty one if there is none.
    pub(crate) fn at(self, name: &str) -> Self {
        Self(self.0.get(name).unwrap_or(&Value::Null))
    }

    pub(crate) fn has(self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    pub(crate) fn text(self, name: &str) -> &'a str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn number(self, name: &str) -> u64 {
        self.0.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    /// A limit: `None` where JetStream says "unlimited" (absent, zero or negative).
    pub(crate) fn limit(self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64).filter(|&n| n > 0)
    }

    pub(crate) fn flag(self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    /// The objects of the array under `name`.
    pub(crate) fn list(self, name: &str) -> impl Iterator<Item = Self> {
        self.0.get(name).and_then(Value::as_array).into_iter().flatten().map(Self)
    }

    /// The strings of the array under `name`.
    pub(crate) fn texts(self, name: &str) -> Vec<&'a str> {
        let array = self.0.get(name).and_then(Value::as_array);
        array.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Fields;

    #[test]
    fn absent_and_foreign_fields_read_as_nothing() {
        let value = json!({"config": {"max_msgs": -1, "max_bytes": 5, "name": 7}, "a": [1, "x"]});
        let config = Fields(&value).at("config");
        assert_eq!(config.limit("max_msgs"), None);
        assert_eq!(config.limit("max_bytes"), Some(5));
        assert_eq!(config.text("name"), "");
        assert_eq!(Fields(&value).texts("a"), ["x"]);
        assert_eq!(Fields(&value).at("cluster").at("leader").number("x"), 0);
        assert!(!Fields(&value).has("cluster"));
    }
}
