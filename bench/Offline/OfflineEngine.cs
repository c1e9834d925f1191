using System.Diagnostics.Metrics;
using LlamaServe.Bench.Load;
using LlamaServe.Engine;
using LlamaServe.Engine.Execution;
using LlamaServe.Kernels;
using LlamaServe.Models;
using LlamaServe.Server;

namespace LlamaServe.Bench.Offline;

/// <summary>The engine in this process, as the server would start it, but taking any number of requests at once.</summary>
internal static class OfflineEngine
{
    // Ids below are bytes and special tokens in most vocabularies.
    private const int FirstOrdinaryId = 1000;

    /// <param name="around">Wraps the runner; null: nothing.</param>
    /// <exception cref="LlamaServe.Models.Weights.CheckpointException">The model cannot be read.</exception>
    /// <exception cref="DeviceUnavailableException">The device is not there.</exception>
    public static async Task<LlamaEngine> StartAsync(
        ServerOptions options, Func<IModelRunner, IModelRunner>? around = null, IMeterFactory? meters = null, CancellationToken cancellationToken = default)
    {
        EngineOptions unlimited = options.Engine with
        {
            MaxRequests = 1 << 20,
            MaxRequestsPerTenant = 1 << 20,
            MaxTokensInFlight = long.MaxValue / 2,
            MaxHostBytes = long.MaxValue / 2,
            MaxHostBytesPerRequest = 1L << 32,
            StepTimeout = TimeSpan.FromMinutes(10),
        };
        LlamaEngine engine = new(
            () =>
            {
                ModelRunner runner = ModelRunner.Create(Load(options), unlimited);
                return around?.Invoke(runner) ?? runner;
            },
            unlimited, meters: meters);
        try
        {
            await engine.StartAsync(cancellationToken);
        }
        catch
        {
            await engine.DisposeAsync();
            throw;
        }

        return engine;
    }

    /// <summary>Ids that prompts for it are drawn from.</summary>
    public static TokenSource Ids(LlamaEngine engine, int seed)
    {
        int end = engine.Limits!.VocabularySize;
        return new TokenSource(Math.Min(FirstOrdinaryId, end / 2), end, seed);
    }

    private static LoadedModel Load(ServerOptions options)
    {
        IBackend backend = options.Device.Create(options.Threads ?? 0, Console.Error.WriteLine);
        try
        {
            return ModelLoader.Load(options.ModelPath, backend);
        }
        catch
        {
            backend.Dispose();
            throw;
        }
    }
}
