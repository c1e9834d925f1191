using Grpc.Core;
using LlamaServe.Engine;
using LlamaServe.Server.Tests.Support;
using LlamaServe.V1;

namespace LlamaServe.Server.Tests;

/// <summary>Many streams at once on the bundled model, with too few KV blocks for them.</summary>
public sealed class LoadTests
{
    private const int Streams = 256;

    private static readonly string[] Words =
        ["king", "forest", "golden", "once", "wolf", "the", "little", "mother", "said", "castle", "and", "dark", "went", "bird", "her", "stone"];

    private enum Fate
    {
        Survives,
        IsCancelled,
        HitsItsDeadline,
    }

    [Test]
    public async Task Every_stream_ends_as_it_should_and_survivors_get_the_tokens_they_get_alone()
    {
        // 80 blocks of 16 tokens: what runs together needs several times as many.
        EngineOptions engine = new() { KvCacheBytes = 80 * 49152, MaxSequences = 96, TokenBudget = 256 };
        await using TestServer server = await TestServer.StartBundled(engine);
        Random random = new(42);
        (Fate Fate, GenerateRequest Request, int Patience)[] plan = [.. Enumerable.Range(0, Streams).Select(i => Plan(i, random))];
        StreamResult[] results = await Task.WhenAll(plan.Select(one => Run(server, one.Fate, one.Request, one.Patience)));
        await server.WaitUntilIdle();
        EngineStatistics statistics = server.Engine.GetStatistics();
        Assert.Multiple(() =>
        {
            for (int i = 0; i < Streams; i++)
            {
                Assert.That(results[i].Status, Is.AnyOf(Expected(plan[i], results[i])), $"stream {i}: {results[i].Failure?.Status.Detail}");
            }
            Assert.That(statistics.Preemptions, Is.GreaterThan(0), "the pool is not small enough for this test");
        });
        TestContext.Out.WriteLine($"{statistics.Preemptions} preemptions over {statistics.Steps} steps");
        await AssertSameAlone(server, plan, results);
    }

    private static async Task AssertSameAlone(TestServer server, (Fate Fate, GenerateRequest Request, int Patience)[] plan, StreamResult[] results)
    {
        List<int> different = [];
        for (int i = 0; i < Streams; i++)
        {
            if (plan[i].Fate == Fate.Survives)
            {
                StreamResult alone = await StreamResult.Read(server.Client.Generate(plan[i].Request));
                if (!alone.Ids().SequenceEqual(results[i].Ids()) || alone.Text() != results[i].Text())
                {
                    different.Add(i);
                }
            }
        }
        Assert.That(different, Is.Empty, "streams whose tokens depend on the company they were in");
    }

    // A third is cancelled after some tokens, an eighth has a deadline that it cannot keep.
    private static (Fate, GenerateRequest, int Patience) Plan(int index, Random random)
    {
        Fate fate = index % 3 == 0 ? Fate.IsCancelled : index % 8 == 1 ? Fate.HitsItsDeadline : Fate.Survives;
        string prompt = string.Join(' ', Enumerable.Range(0, random.Next(4, 40)).Select(_ => Words[random.Next(Words.Length)]));
        GenerateRequest request = new()
        {
            Text = prompt,
            Sampling = new SamplingOptions { Temperature = 0.9f, Seed = (ulong)index },
            Stopping = new StoppingOptions { MaxTokens = fate == Fate.Survives ? (uint)random.Next(16, 64) : 900, IgnoreEos = true },
            Priority = index % 2,
        };
        return (fate, request, fate == Fate.IsCancelled ? random.Next(0, 12) : random.Next(20, 400));
    }

    private static async Task<StreamResult> Run(TestServer server, Fate fate, GenerateRequest request, int patience)
    {
        using CancellationTokenSource cancel = new();
        if (fate == Fate.IsCancelled && patience == 0)
        {
            cancel.CancelAfter(1);
        }
        DateTime? deadline = fate == Fate.HitsItsDeadline ? DateTime.UtcNow.AddMilliseconds(patience) : null;
        return await StreamResult.Read(server.Client.Generate(request, deadline: deadline, cancellationToken: cancel.Token), result =>
        {
            if (fate == Fate.IsCancelled && result.Ids().Length >= patience)
            {
                cancel.Cancel();
            }
        });
    }

    // A stream that a fast machine completed before its deadline, or before it was cancelled, has ended as it should too.
    private static object[] Expected((Fate Fate, GenerateRequest Request, int Patience) plan, StreamResult result)
    {
        StatusCode fate = plan.Fate switch
        {
            Fate.IsCancelled => StatusCode.Cancelled,
            Fate.HitsItsDeadline => StatusCode.DeadlineExceeded,
            _ => StatusCode.OK,
        };
        return result.Ids().Length == plan.Request.Stopping.MaxTokens ? [fate, StatusCode.OK] : [fate];
    }
}
