namespace LlamaServe.Bench.Peers;

/// <summary>llama.cpp, a process a round, so that nothing of it runs while others are measured.</summary>
internal sealed class LlamaCppPeer(string modelPath, Workload workload, int threads) : IPeer
{
    private readonly string _workloadPath = Path.Combine(Path.GetTempPath(), $"llamaserve-workload-{Environment.ProcessId}.json");

    public string Name => $"llama.cpp (node-llama-cpp {LlamaCpp.Version})";

    public Task<PeerMeasures> MeasureAsync(CancellationToken cancellationToken)
    {
        workload.Save(_workloadPath);
        return LlamaCpp.MeasureAsync(modelPath, _workloadPath, threads, cancellationToken);
    }

    public ValueTask DisposeAsync()
    {
        File.Delete(_workloadPath);
        return ValueTask.CompletedTask;
    }
}
