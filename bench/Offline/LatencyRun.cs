using System.Text.Json.Nodes;
using LlamaServe.Bench.Load;
using LlamaServe.Engine;
using LlamaServe.Server;

namespace LlamaServe.Bench.Offline;

/// <summary>How long a batch takes from being queued to its last token, again and again.</summary>
/// <param name="Batch">Requests queued at once.</param>
/// <param name="Input">Tokens of each prompt; new ones each time, so that none is in the prefix cache.</param>
/// <param name="Output">Tokens of each answer.</param>
/// <param name="WarmUps">Batches before the measured ones.</param>
internal sealed record LatencyRun(int Batch, int Input, int Output, int WarmUps, int Batches)
{
    private static readonly int[] Percents = [10, 25, 50, 75, 90, 99];

    /// <returns>[batch] seconds, in the order of measuring.</returns>
    /// <exception cref="ArgumentException">A value is out of range.</exception>
    /// <exception cref="InvalidOperationException">A request failed.</exception>
    public async Task<double[]> MeasureAsync(ServerOptions server, CancellationToken cancellationToken)
    {
        if (Batch < 1 || Input < 1 || Output < 1 || WarmUps < 0 || Batches < 1)
        {
            throw new ArgumentException("--batch-size, --input-len, --output-len and --num-iters are at least 1, --num-iters-warmup at least 0");
        }

        await using LlamaEngine engine = await OfflineEngine.StartAsync(server, cancellationToken: cancellationToken);
        using EngineClient client = new(engine);
        TokenSource ids = OfflineEngine.Ids(engine, seed: 0);
        double[] seconds = new double[Batches];
        for (int i = -WarmUps; i < Batches; i++)
        {
            Conversation[] batch = [.. Enumerable.Range(0, Batch).Select(_ => new Conversation([new Turn(ids.Draw(Input), Output)]))];
            ServeResult result = await OfflineRun.SendAsync(client, batch, cancellationToken);
            if (i >= 0)
            {
                seconds[i] = result.Seconds;
            }
        }

        return seconds;
    }

    /// <summary><c>vllm bench latency --output-json</c>'s fields; seconds.</summary>
    public static JsonObject Fields(double[] seconds)
    {
        Distribution all = new(seconds);
        return new JsonObject
        {
            ["avg_latency"] = all.Mean,
            ["latencies"] = new JsonArray([.. seconds.Select(value => JsonValue.Create(value))]),
            ["percentiles"] = new JsonObject([.. Percents.Select(percent => KeyValuePair.Create($"{percent}", (JsonNode?)all.Percentile(percent)))]),
        };
    }
}
