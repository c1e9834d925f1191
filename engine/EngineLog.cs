using Microsoft.Extensions.Logging;

namespace LlamaServe.Engine;

/// <summary>All log messages of the engine. None carries prompt or output text.</summary>
internal static partial class EngineLog
{
    [LoggerMessage(1, LogLevel.Information, "Ready: {Blocks} KV blocks of {BlockSize} tokens, context {ContextLength}")]
    public static partial void Ready(this ILogger logger, int blocks, int blockSize, int contextLength);

    [LoggerMessage(2, LogLevel.Information, "Draining {Requests} requests in flight")]
    public static partial void Draining(this ILogger logger, int requests);

    [LoggerMessage(3, LogLevel.Information, "Stopped")]
    public static partial void Stopped(this ILogger logger);

    [LoggerMessage(4, LogLevel.Error, "A step over {Sequences} sequences failed; its parts are tried again one by one")]
    public static partial void StepFailed(this ILogger logger, int sequences, Exception exception);

    [LoggerMessage(5, LogLevel.Error, "Request {RequestId} fails: its step threw")]
    public static partial void RequestFailed(this ILogger logger, string requestId, Exception exception);

    [LoggerMessage(6, LogLevel.Error, "Request {RequestId}: no token could be chosen, its logits are not numbers")]
    public static partial void InvalidLogits(this ILogger logger, string requestId);

    [LoggerMessage(7, LogLevel.Critical, "A step hung for {Seconds} s; the loop restarts with {Requests} requests in flight")]
    public static partial void StepHung(this ILogger logger, double seconds, int requests);

    [LoggerMessage(8, LogLevel.Critical, "The loop failed; it restarts with {Requests} requests in flight")]
    public static partial void LoopFailed(this ILogger logger, int requests, Exception exception);

    [LoggerMessage(9, LogLevel.Critical, "The engine gives up: {Reason}")]
    public static partial void GaveUp(this ILogger logger, string reason);

    [LoggerMessage(10, LogLevel.Warning, "Request {RequestId} ends: its reader was behind for too long")]
    public static partial void SlowReader(this ILogger logger, string requestId);

    [LoggerMessage(11, LogLevel.Critical, "The model could not be loaded")]
    public static partial void LoadFailed(this ILogger logger, Exception exception);

    [LoggerMessage(12, LogLevel.Critical, "The device is lost with {Requests} requests in flight; only a new process gets it back")]
    public static partial void DeviceLost(this ILogger logger, int requests, Exception exception);

    [LoggerMessage(13, LogLevel.Error, "Not all that the model held was freed")]
    public static partial void DisposeFailed(this ILogger logger, Exception exception);
}
