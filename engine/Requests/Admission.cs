namespace LlamaServe.Engine.Requests;

/// <summary>Why a request was not taken.</summary>
public enum RejectionReason
{
    /// <summary>The caller's fault; <see cref="Rejection.Field"/> says where. Not worth a retry.</summary>
    InvalidRequest,

    /// <summary>A request with this id is in flight.</summary>
    DuplicateRequestId,

    /// <summary>Too many requests wait; retry after <see cref="Rejection.RetryAfter"/>.</summary>
    QueueFull,

    /// <summary>The engine is starting or restarting.</summary>
    NotReady,

    /// <summary>The engine is draining before it stops.</summary>
    Draining,

    /// <summary>The deadline had passed on arrival.</summary>
    DeadlineExceeded,
}

/// <summary>A refusal, fit to be shown to the caller.</summary>
/// <param name="Reason">Why.</param>
/// <param name="Message">One sentence.</param>
/// <param name="Field">Name of the offending <see cref="GenerationRequest"/> or <see cref="SamplingParameters"/> property, e.g. "TopP".</param>
/// <param name="RetryAfter">When a retry makes sense.</param>
public sealed record Rejection(RejectionReason Reason, string Message, string? Field = null, TimeSpan? RetryAfter = null);

/// <summary>Outcome of a submission: exactly one of the two is set.</summary>
public readonly record struct Admission(Generation? Generation, Rejection? Rejection);
