//! A consumer's name, which the subject and the request may both carry, in four ways.

use super::CreateRequest;
use crate::error::{ApiError, ErrorKind};
use crate::stream::{MAX_NAME, is_asset_name};
use crate::subject::CreateForm;

/// The name under which the consumer is created; `None` when the server has to invent one.
///
/// # Errors
/// 10056 when subject and request name different streams; 10016 to 10020, 10052, 10102, 10127,
/// 10131, 10132 and 10137 when they do not fit together in the consumer's name or filter.
pub fn resolve_name(
    stream: &str,
    form: CreateForm<'_>,
    request: &CreateRequest,
) -> Result<Option<String>, ApiError> {
    if request.stream_name != stream {
        return Err(ErrorKind::StreamMismatch.error());
    }
    let config = &request.config;
    let (durable, named) = (config.durable_name.as_str(), config.name.as_str());
    let name = match form {
        CreateForm::Unnamed if !durable.is_empty() => {
            return Err(ErrorKind::ConsumerEphemeralWithDurableName.error());
        }
        CreateForm::Unnamed => named,
        CreateForm::Durable { .. } if durable.is_empty() => {
            return Err(ErrorKind::ConsumerDurableNameNotSet.error());
        }
        CreateForm::Durable { name } | CreateForm::Named { name, .. } => {
            if !durable.is_empty() && durable != name {
                return Err(ErrorKind::ConsumerDurableNameNotMatchSubject.error());
            }
            name
        }
    };
    if let CreateForm::Named { filter: Some(filter), .. } = form {
        check_filter(filter, request)?;
    }
    check_name(name)
}

/// The filter of the subject, by which a permission may be limited, is the one in the request.
fn check_filter(filter: &str, request: &CreateRequest) -> Result<(), ApiError> {
    if !request.config.filter_subjects.is_empty() {
        return Err(ErrorKind::ConsumerMultipleFiltersNotAllowed.error());
    }
    if request.config.filter_subject != filter {
        return Err(ErrorKind::ConsumerCreateFilterSubjectMismatch.error());
    }
    Ok(())
}

fn check_name(name: &str) -> Result<Option<String>, ApiError> {
    if name.is_empty() {
        return Ok(None);
    }
    if name.contains(['\\', '/']) {
        return Err(ErrorKind::ConsumerNameContainsPathSeparators.error());
    }
    if !is_asset_name(name) {
        let cause = "consumer name can not contain '.', '*', '>', '\\', '/'";
        return Err(ErrorKind::StreamInvalidConfig.because(cause));
    }
    if name.len() > MAX_NAME {
        return Err(ErrorKind::ConsumerNameTooLong.because(MAX_NAME));
    }
    Ok(Some(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::ApiSubject;

    fn resolve(subject: &str, config: &str) -> Result<Option<String>, u16> {
        let subject = format!("$JS.API.CONSUMER.{subject}");
        let Some(ApiSubject::ConsumerCreate { stream, form }) = ApiSubject::parse(&subject) else {
            panic!("{subject} creates no consumer");
        };
        let body = format!(r#"{{"stream_name":"S","config":{config}}}"#);
        let request = crate::request::decode(body.as_bytes()).unwrap();
        resolve_name(stream, form, &request).map_err(|error| error.err_code)
    }

    #[test]
    fn the_name_may_be_in_several_places() {
        let named = Ok(Some("C".to_owned()));
        assert_eq!(resolve("CREATE.S", "{}"), Ok(None));
        assert_eq!(resolve("CREATE.S", r#"{"name":"C"}"#), named);
        assert_eq!(resolve("CREATE.S.C", "{}"), named);
        assert_eq!(resolve("CREATE.S.C", r#"{"durable_name":"C","name":"C"}"#), named);
        assert_eq!(resolve("CREATE.S.C.a.>", r#"{"filter_subject":"a.>"}"#), named);
        assert_eq!(resolve("DURABLE.CREATE.S.C", r#"{"durable_name":"C"}"#), named);
    }

    #[test]
    fn places_that_differ_are_refused() {
        let table = [
            ("CREATE.T", "{}", 10056),
            ("CREATE.S", r#"{"durable_name":"C"}"#, 10020),
            ("CREATE.S.C", r#"{"durable_name":"D"}"#, 10017),
            ("DURABLE.CREATE.S.C", "{}", 10018),
            ("DURABLE.CREATE.S.C", r#"{"durable_name":"D"}"#, 10017),
            ("CREATE.S.C.a", r#"{"filter_subjects":["a"]}"#, 10137),
            ("CREATE.S.C.a", r#"{"filter_subject":"b"}"#, 10131),
            ("CREATE.S.C.a", "{}", 10131),
            ("CREATE.S.a/b", "{}", 10127),
            ("CREATE.S.*", "{}", 10052),
        ];
        for (subject, config, err_code) in table {
            assert_eq!(resolve(subject, config), Err(err_code), "{subject} {config}");
        }
        let long = "x".repeat(256);
        assert_eq!(resolve(&format!("CREATE.S.{long}"), "{}"), Err(10102));
    }
}
