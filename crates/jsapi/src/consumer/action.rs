//! Whether a request may create a consumer, change it, or both.

use flotilla_stream as domain;
use serde::{Deserialize, Serialize};

use super::check_update;
use crate::error::{ApiError, ErrorKind};

/// What the client expects to be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsumerAction {
    /// It does not care.
    #[default]
    #[serde(rename = "")]
    CreateOrUpdate,
    /// Nothing, or the very same.
    #[serde(rename = "create")]
    Create,
    /// Something.
    #[serde(rename = "update")]
    Update,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The consumer is new.
    Create,
    /// The consumer changes.
    Update,
    /// The consumer is as it was asked for.
    Keep,
}

/// Decides what a request does, given what is there.
///
/// # Errors
/// 10148 when something else is there and must not be; 10149 when nothing is there and must be;
/// those of [`check_update`].
pub fn resolve_change(
    action: ConsumerAction,
    existing: Option<&domain::ConsumerConfig>,
    wanted: &domain::ConsumerConfig,
) -> Result<Change, ApiError> {
    match (existing, action) {
        (None, ConsumerAction::Update) => Err(ErrorKind::ConsumerDoesNotExist.error()),
        (None, _) => Ok(Change::Create),
        (Some(existing), _) if existing == wanted => Ok(Change::Keep),
        (Some(_), ConsumerAction::Create) => Err(ErrorKind::ConsumerAlreadyExists.error()),
        (Some(existing), _) => check_update(existing, wanted).map(|()| Change::Update),
    }
}
