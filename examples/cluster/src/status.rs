//! What a reader and an appender say of themselves.

use rangewatch_bridge::{BoxError, Phase, Status, StatusWatch};

use crate::output::Output;

/// Prints the status when its phase or its epoch changes, until the reader or appender ends.
pub(crate) async fn report(
    of: &str,
    mut watch: StatusWatch,
    output: Output,
) -> Result<(), BoxError> {
    let mut shown = (Phase::Connecting, None);
    // An attempt to connect is no news.
    let is_news = |status: &Status, shown| {
        status.phase != Phase::Connecting && (status.phase, status.epoch) != shown
    };
    while let Some(status) = watch.until(|status| is_news(status, shown)).await {
        shown = (status.phase, status.epoch);
        output.status(text(of, &status));
    }
    Ok(())
}

pub(crate) fn text(of: &str, status: &Status) -> String {
    let (phase, lag) = (status.phase.name(), status.lag());
    let epoch = status.epoch.map(|epoch| format!(", epoch {epoch}"));
    // The last cause: what the others say is the phase.
    let error = status
        .last_error
        .as_deref()
        .filter(|_| status.phase == Phase::Disconnected);
    let cause = error.and_then(|error| error.rsplit(": ").next());
    let cause = cause.map(|cause| format!(" ({cause})"));
    let (epoch, cause) = (epoch.unwrap_or_default(), cause.unwrap_or_default());
    format!("{of} {phase}{cause}, lag {lag}{epoch}")
}
