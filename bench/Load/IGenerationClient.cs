namespace LlamaServe.Bench.Load;

/// <summary>A way to ask a server for an answer.</summary>
internal interface IGenerationClient : IDisposable
{
    /// <summary>Sends a request and notes each piece of the answer. Failures are noted too; only cancellation throws.</summary>
    Task SendAsync(LoadRequest request, RequestRecord record, CancellationToken cancellationToken);
}
