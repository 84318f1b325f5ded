//! What stands behind the question mark.

/// The pairs of a query, decoded. Of several with one name the first counts.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

/// A value that is none of those it may be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Error decoding {kind} for '{name}': {value:?} is none")]
pub(crate) struct BadQuery {
    kind: &'static str,
    name: &'static str,
    value: String,
}

impl Query {
    pub(crate) fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self(pairs.iter().map(owned).collect())
    }

    /// A value; none when it is not there or empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// A flag, false when it is not there. It is written as Go's `ParseBool` reads it, since probes and exporters are
    /// configured for that.
    pub(crate) fn boolean(&self, name: &'static str) -> Result<bool, BadQuery> {
        match self.text(name) {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some(value) => Err(BadQuery { kind: "boolean", name, value: value.to_owned() }),
        }
    }

    /// A number, zero when it is not there.
    pub(crate) fn integer(&self, name: &'static str) -> Result<i64, BadQuery> {
        let Some(value) = self.text(name) else { return Ok(0) };
        value.parse().map_err(|_| BadQuery { kind: "int", name, value: value.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_false_and_zero() {
        let query = Query::of(&[("empty", "")]);
        assert_eq!(query.boolean("empty"), Ok(false));
        assert_eq!(query.integer("missing"), Ok(0));
        assert_eq!(query.text("empty"), None);
    }

    #[test]
    fn a_value_that_is_none_is_named() {
        let query = Query::of(&[("raft", "maybe"), ("limit", "1e9")]);
        let error = query.boolean("raft").unwrap_err();
        assert_eq!(error.to_string(), r#"Error decoding boolean for 'raft': "maybe" is none"#);
        let error = query.integer("limit").unwrap_err();
        assert_eq!(error.to_string(), r#"Error decoding int for 'limit': "1e9" is none"#);
    }

    #[test]
    fn the_first_of_one_name_counts() {
        assert_eq!(Query::of(&[("raft", "T"), ("raft", "0")]).boolean("raft"), Ok(true));
    }
}
