using System.Diagnostics;
using LlamaServe.Bench.Models;
using LlamaServe.Bench.Torch;
using TorchSharp;

namespace LlamaServe.Bench.Peers;

/// <summary>
/// <see cref="NaiveLlama"/> in BF16, whatever the file's format: how transformers holds a checkpoint. Sequences run one after the other,
/// so that eight of them together decode as fast as one does.
/// </summary>
internal sealed class NaivePeer : IPeer
{
    private readonly NaiveLlama _model;
    private readonly Workload _workload;
    private readonly int _threads;

    public NaivePeer(string modelPath, LlamaShape shape, Workload workload, int threads)
    {
        TorchRuntime.EnsureLoaded();
        (_workload, _threads) = (workload, threads);
        _model = new NaiveLlama(modelPath, shape, torch.ScalarType.BFloat16);
    }

    public string Name => "naive PyTorch (BF16, TorchSharp)";

    public Task<PeerMeasures> MeasureAsync(CancellationToken cancellationToken) => Task.Run(() => Measure(cancellationToken), cancellationToken);

    public ValueTask DisposeAsync()
    {
        _model.Dispose();
        return ValueTask.CompletedTask;
    }

    private PeerMeasures Measure(CancellationToken cancellationToken)
    {
        torch.set_num_threads(_threads);
        // Belongs to the thread.
        using IDisposable inference = torch.inference_mode();
        Generate(_workload.Prompts[0], newTokens: 8, cancellationToken);
        (TimeSpan prefill, TimeSpan decode) = Generate(_workload.Prompts[0], _workload.NewTokens, cancellationToken);
        (TimeSpan longPrefill, _) = Generate(_workload.LongPrompt, newTokens: 1, cancellationToken);
        double together = _workload.Prompts.Sum(prompt => Generate(prompt, _workload.NewTokens, cancellationToken).Decode.TotalSeconds);
        int following = _workload.NewTokens - 1;
        return new PeerMeasures(
            _workload.Prompts[0].Length / prefill.TotalSeconds,
            _workload.LongPrompt.Length / longPrefill.TotalSeconds,
            following / decode.TotalSeconds,
            _workload.Prompts.Length * following / together);
    }

    /// <returns>Time to the first new token, and of all that follow.</returns>
    private (TimeSpan Prefill, TimeSpan Decode) Generate(int[] prompt, int newTokens, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        int next = _model.Next(prompt);
        long first = Stopwatch.GetTimestamp();
        for (int token = 1; token < newTokens; token++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            next = _model.Next([next]);
        }

        TimeSpan decode = Stopwatch.GetElapsedTime(first);
        _model.Clear();
        return (Stopwatch.GetElapsedTime(start, first), decode);
    }
}
