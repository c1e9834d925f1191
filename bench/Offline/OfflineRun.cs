using LlamaServe.Bench.Load;
using LlamaServe.Engine;
using LlamaServe.Server;

namespace LlamaServe.Bench.Offline;

/// <summary>Throughput of the engine alone: all requests queued at once, nobody reads over a network.</summary>
internal static class OfflineRun
{
    /// <exception cref="ArgumentException">Options are out of range, or requests do not fit the model.</exception>
    /// <exception cref="InvalidOperationException">A request failed.</exception>
    public static async Task<ServeResult> RunAsync(ServerOptions server, OfflineOptions options, CancellationToken cancellationToken)
    {
        options.Validate();
        await using LlamaEngine engine = await OfflineEngine.StartAsync(server, cancellationToken: cancellationToken);
        using EngineClient client = new(engine);
        Random random = new(options.Seed);
        Conversation[] requests = [.. Make(server, options, OfflineEngine.Ids(engine, options.Seed), random)];
        if (options.WarmUp > 0)
        {
            SyntheticWorkload small = new(new(32, 32), new(16, 16), 0);
            await SendAsync(client, [.. small.Make(options.WarmUp, OfflineEngine.Ids(engine, ~options.Seed), random)], cancellationToken);
        }

        return await SendAsync(client, requests, cancellationToken);
    }

    /// <summary>Queues all of them and waits for the last.</summary>
    /// <exception cref="InvalidOperationException">One failed.</exception>
    public static async Task<ServeResult> SendAsync(EngineClient client, Conversation[] requests, CancellationToken cancellationToken)
    {
        LoadGenerator load = new(client, maxConcurrency: null, tokenizer: null);
        double seconds = await load.RunAsync(requests, new double[requests.Length], cancellationToken);
        ServeResult result = new(load.Records, seconds, goal: null);
        return result.Failed == 0 ? result : throw new InvalidOperationException($"{result.Failed} requests failed: {result.Errors.First().Error}");
    }

    private static IEnumerable<Conversation> Make(ServerOptions server, OfflineOptions options, TokenSource ids, Random random) => options.ShareGpt is { } file
        ? ShareGptWorkload.Read(file, options.Requests, ServeRun.LoadTokenizer(server.ModelPath), random)
        : new SyntheticWorkload(options.Input, options.Output, options.SharedPrefix).Make(options.Requests, ids, random);
}
