namespace LlamaServe.Bench.Peers;

/// <summary>An engine that is measured beside others on the same model file.</summary>
internal interface IPeer : IAsyncDisposable
{
    /// <summary>What to call it in a report, with its version.</summary>
    string Name { get; }

    /// <summary>One round: every measure once.</summary>
    Task<PeerMeasures> MeasureAsync(CancellationToken cancellationToken);
}
