//! Replicas are taken away from a server, and servers from the cluster.

use flotilla_host::MetaRequest;
use flotilla_jsapi::cluster::{PeerRemoveRequest, ServerRemoveRequest};
use flotilla_jsapi::request::decode_required;
use flotilla_jsapi::{ApiError, ErrorKind, Success};

use super::context::{Context, done};
use super::request::ApiRequest;
use crate::peer_id::peer_id;

/// `STREAM.PEER.REMOVE`: the stream's replica on a server goes elsewhere. The server is given by its name or peer id.
pub(super) async fn remove_peer(
    context: &Context,
    request: &ApiRequest,
    stream: &str,
) -> Result<Success, ApiError> {
    context.require_cluster()?;
    let PeerRemoveRequest { peer } = decode_required(&request.payload)?;
    if peer.is_empty() {
        return Err(ErrorKind::BadRequest.error());
    }
    let entry = context.stream(request, stream).await?;
    let is_it = |name: &str| name == peer || peer_id(name) == peer;
    let store = entry.stores.into_iter().find(|store| is_it(&context.server_name(*store)));
    let store = store.ok_or_else(|| ErrorKind::ClusterPeerNotMember.error())?;
    let (account, stream) = (request.account(), stream.to_owned());
    let change = MetaRequest::RemovePeer { account, stream, store };
    done(&context.ask_meta(change, request.deadline()).await?)
}

/// `SERVER.REMOVE`: a server is gone for good. It is given by its peer id, or else by its name.
pub(super) async fn remove_server(
    context: &Context,
    request: &ApiRequest,
) -> Result<Success, ApiError> {
    context.require_cluster()?;
    let asked: ServerRemoveRequest = decode_required(&request.payload)?;
    context.current().await?;
    let is_it = |name: &str| match asked.peer_id.as_str() {
        "" => name == asked.peer || peer_id(name) == asked.peer,
        id => peer_id(name) == id,
    };
    let store = context.with(|meta| {
        let mut members = meta.servers().filter(|server| server.is_member());
        members.find(|server| is_it(&server.name)).map(|server| server.store)
    })?;
    let store = store.ok_or_else(|| ErrorKind::ClusterServerNotMember.error())?;
    done(&context.ask_meta(MetaRequest::RemoveServer { store }, request.deadline()).await?)
}
