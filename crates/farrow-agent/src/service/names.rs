//! Frames as Flight names them.

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_descriptor::DescriptorType;
use farrow_store::{FrameName, FrameRef};

use crate::error::AgentError;

/// The frame that a descriptor's path names: components joined by `/`, `@version` at the end.
pub(super) fn frame_ref(descriptor: &FlightDescriptor) -> Result<FrameRef, AgentError> {
    match descriptor.r#type() {
        DescriptorType::Path => Ok(FrameRef::parse(&descriptor.path.join("/"))?),
        found => Err(AgentError::Descriptor { found: found.as_str_name() }),
    }
}

/// The descriptor of a frame.
pub(super) fn descriptor(name: &FrameName) -> FlightDescriptor {
    FlightDescriptor::new_path(name.as_str().split('/').map(str::to_owned).collect())
}

/// The name behind which a page of a listing begins, as it stands in messages: empty for the first page.
pub(super) fn after(name: &str) -> Result<Option<FrameName>, AgentError> {
    Ok(if name.is_empty() { None } else { Some(FrameName::parse(name)?) })
}

/// A version as it stands in messages: 0 is the latest.
pub(super) fn version(number: u64) -> Option<u64> {
    (number != 0).then_some(number)
}
