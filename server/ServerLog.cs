namespace LlamaServe.Server;

/// <summary>All log messages of the server. None carries prompt or output text.</summary>
internal static partial class ServerLog
{
    [LoggerMessage(1, LogLevel.Debug, "Request {RequestId}: {PromptTokens} prompt tokens")]
    public static partial void RequestTaken(this ILogger logger, string requestId, int promptTokens);

    [LoggerMessage(2, LogLevel.Debug, "Request {RequestId} ended {Status} after {CompletionTokens} tokens")]
    public static partial void RequestEnded(this ILogger logger, string requestId, string status, int completionTokens);

    [LoggerMessage(3, LogLevel.Error, "{Method} threw")]
    public static partial void CallFailed(this ILogger logger, string method, Exception exception);

    [LoggerMessage(4, LogLevel.Information, "Draining: new requests are refused, running ones have {Seconds} s")]
    public static partial void Draining(this ILogger logger, double seconds);

    [LoggerMessage(5, LogLevel.Warning, "The drain timeout ended {Requests} requests")]
    public static partial void DrainTimedOut(this ILogger logger, int requests);

    [LoggerMessage(6, LogLevel.Critical, "The engine has failed for good; the server stops")]
    public static partial void EngineFailed(this ILogger logger);

    [LoggerMessage(7, LogLevel.Warning, "{Model} has no row for the tokenizer's added ids {First} to {Last}; requests with them are refused")]
    public static partial void IdsWithoutRow(this ILogger logger, string model, int first, int last);

    [LoggerMessage(8, LogLevel.Warning, "{Warning}")]
    public static partial void DeviceWarning(this ILogger logger, string warning);
}
