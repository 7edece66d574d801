//! Answers that give this process something: a reservation, a lease.

use crate::error::ClientError;

/// Waits for such an answer, in a task of its own: that goes on when its caller gives up. An answer that nobody takes is dropped there,
/// and dropping it gives it back.
pub(crate) async fn granted<T: Send + 'static>(
    ask: impl Future<Output = Result<T, ClientError>> + Send + 'static,
) -> Result<T, ClientError> {
    tokio::spawn(ask).await.map_err(ClientError::Interrupted)?
}
