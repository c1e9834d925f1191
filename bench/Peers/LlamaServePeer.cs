using System.Diagnostics;
using LlamaServe.Engine;
using LlamaServe.Engine.Requests;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Models;

namespace LlamaServe.Bench.Peers;

/// <summary>This repository's engine, in this process, with its defaults except that prompts are computed anew each time.</summary>
internal sealed class LlamaServePeer : IPeer
{
    private readonly LlamaEngine _engine;
    private readonly Workload _workload;

    private LlamaServePeer(LlamaEngine engine, Workload workload)
    {
        _engine = engine;
        _workload = workload;
    }

    public string Name => "LlamaServe";

    public static async Task<LlamaServePeer> StartAsync(string modelPath, Workload workload, int threads, CancellationToken cancellationToken)
    {
        EngineOptions options = new()
        {
            PrefixCaching = false,
            KvCacheBytes = 512L << 20,
            MaxContextLength = workload.ContextLength,
        };
        LlamaEngine engine = new(() => Load(modelPath, threads), options);
        await engine.StartAsync(cancellationToken);
        return new LlamaServePeer(engine, workload);
    }

    public async Task<PeerMeasures> MeasureAsync(CancellationToken cancellationToken)
    {
        int newTokens = _workload.NewTokens;
        await AloneAsync(_workload.Prompts[0], newTokens: 8, cancellationToken);
        (double prefill, double decode) = await AloneAsync(_workload.Prompts[0], newTokens, cancellationToken);
        (double longPrefill, _) = await AloneAsync(_workload.LongPrompt, newTokens: 2, cancellationToken);
        return new PeerMeasures(prefill, longPrefill, decode, await TogetherAsync(cancellationToken));
    }

    public ValueTask DisposeAsync() => _engine.DisposeAsync();

    private static LoadedModel Load(string modelPath, int threads)
    {
        CpuBackend backend = new(new CpuBackendOptions { Threads = threads });
        return ModelLoader.Load(modelPath, backend);
    }

    private async Task<(double Prefill, double Decode)> AloneAsync(int[] prompt, int newTokens, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        long first = 0, last = 0;
        await foreach (GeneratedToken _ in _engine.GenerateAsync(Request(prompt, newTokens), cancellationToken))
        {
            last = Stopwatch.GetTimestamp();
            first = first == 0 ? last : first;
        }

        return (PerSecond(prompt.Length, start, first), PerSecond(newTokens - 1, first, last));
    }

    private async Task<double> TogetherAsync(CancellationToken cancellationToken)
    {
        TogetherClock clock = new(_workload.Prompts.Length, _workload.Prompts.Length * (_workload.NewTokens - 1));
        await Task.WhenAll(_workload.Prompts.Select(prompt => Task.Run(() => RunAsync(prompt, clock, cancellationToken), cancellationToken)));
        return clock.TokensPerSecond;
    }

    private async Task RunAsync(int[] prompt, TogetherClock clock, CancellationToken cancellationToken)
    {
        bool first = true;
        await foreach (GeneratedToken _ in _engine.GenerateAsync(Request(prompt, _workload.MostNewTokens), cancellationToken))
        {
            if (clock.IsDone(first))
            {
                break;
            }

            first = false;
        }
    }

    private static GenerationRequest Request(int[] prompt, int newTokens) => new()
    {
        PromptTokenIds = prompt,
        Sampling = SamplingParameters.Greedy,
        MaxTokens = newTokens,
        IgnoreEos = true,
    };

    private static double PerSecond(int tokens, long start, long end) =>
        tokens / Stopwatch.GetElapsedTime(start, end).TotalSeconds;
}
