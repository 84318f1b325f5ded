//! Which subjects a consumer delivers.

use flotilla_subject::{is_subscribable, is_subset};

use super::ConsumerConfig;
use crate::error::{ApiError, ErrorKind};

/// The filters of a request, from either field; none is everything.
///
/// # Errors
/// 10136 when both fields are set, 10139 for an empty filter, 10052 for one that is no subject,
/// 10138 when one filter lies in another.
pub(super) fn filters(config: &ConsumerConfig) -> Result<Vec<String>, ApiError> {
    if config.filter_subject.is_empty() {
        return several(&config.filter_subjects);
    }
    if !config.filter_subjects.is_empty() {
        return Err(ErrorKind::ConsumerDuplicateFilterSubjects.error());
    }
    several(std::slice::from_ref(&config.filter_subject))
}

fn several(filters: &[String]) -> Result<Vec<String>, ApiError> {
    if filters.iter().any(String::is_empty) {
        return Err(ErrorKind::ConsumerEmptyFilter.error());
    }
    if !filters.iter().all(|filter| is_subscribable(filter)) {
        return Err(ErrorKind::StreamInvalidConfig.because("invalid subject"));
    }
    for (at, filter) in filters.iter().enumerate() {
        let mut others = filters.iter().enumerate().filter(|(other_at, _)| *other_at != at);
        if others.any(|(_, other)| is_subset(filter, other)) {
            return Err(ErrorKind::ConsumerOverlappingSubjectFilters.error());
        }
    }
    Ok(filters.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<String>, u16> {
        let config: ConsumerConfig = crate::request::decode(json.as_bytes()).unwrap();
        filters(&config).map_err(|error| error.err_code)
    }

    #[test]
    fn filters_come_from_either_field() {
        assert_eq!(read("{}"), Ok(vec![]));
        assert_eq!(read(r#"{"filter_subject":"a.>"}"#), Ok(vec!["a.>".to_owned()]));
        let two = Ok(vec!["a".to_owned(), "b.*".to_owned()]);
        assert_eq!(read(r#"{"filter_subjects":["a","b.*"]}"#), two);
        // They share subjects, but neither lies in the other: the reference allows it.
        assert!(read(r#"{"filter_subjects":["a.*","*.b"]}"#).is_ok());
    }

    #[test]
    fn filters_that_make_no_sense_are_refused() {
        for (json, err_code) in [
            (r#"{"filter_subject":"a","filter_subjects":["b"]}"#, 10136),
            (r#"{"filter_subjects":[""]}"#, 10139),
            (r#"{"filter_subjects":["a..b"]}"#, 10052),
            (r#"{"filter_subject":"a.>.b"}"#, 10052),
            (r#"{"filter_subjects":["a","a"]}"#, 10138),
            (r#"{"filter_subjects":["a.1","a.*"]}"#, 10138),
            (r#"{"filter_subjects":[">","a"]}"#, 10138),
        ] {
            assert_eq!(read(json), Err(err_code), "{json}");
        }
    }
}
