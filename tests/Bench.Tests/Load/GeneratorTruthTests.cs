using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Google.Protobuf;
using LlamaServe.Bench.Frontend;
using LlamaServe.Bench.Load;
using LlamaServe.V1;
using Microsoft.AspNetCore.Builder;

namespace LlamaServe.Bench.Tests.Load;

/// <summary>The generator's clients beside others that share no code with them, on streams whose tokens come at the same time.</summary>
internal sealed class GeneratorTruthTests
{
    private const int Tokens = 30;
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(40);
    private static readonly TimeSpan Wait = TimeSpan.FromMilliseconds(500);

    [Test]
    public async Task Times_over_gRPC_are_those_of_a_bare_HTTP2_reader()
    {
        using ManualResetEventSlim mayGoOn = new();
        (WebApplication app, string address) = await FrontendServer.StartAsync(CancellationToken.None, _ =>
        {
            mayGoOn.Wait();
            Thread.Sleep(Step);
        });
        await using WebApplication server = app;
        // A first request holds the device in its step until both of the others wait: they have all their steps in common.
        using GrpcGenerationClient client = new(new Uri(address), connections: 1);
        Task filler = client.SendAsync(new LoadRequest([300, 301], 2), new RequestRecord(2), CancellationToken.None);
        RequestRecord record = new(32);
        Task own = client.SendAsync(new LoadRequest(Prompt(1), Tokens), record, CancellationToken.None);
        Task<List<long>> bare = ReadGrpcAsync(address, Prompt(2));
        await Task.Delay(Wait);
        mayGoOn.Set();
        await Task.WhenAll(filler, own, bare);

        Assert.That(record.OutputTokens, Is.EqualTo(Tokens));
        AssertAlike(record, await bare);
    }

    [Test]
    public async Task Times_over_HTTP_are_those_of_a_bare_line_reader()
    {
        await using SlowServer server = await SlowServer.StartAsync(Wait, Step);
        using OpenAiGenerationClient client = new(server.Endpoint, "m", tokenizer: null);
        RequestRecord record = new(32);
        Task own = client.SendAsync(new LoadRequest(Prompt(1), Tokens), record, CancellationToken.None);
        Task<List<long>> bare = ReadLinesAsync(server.Endpoint);
        await Task.WhenAll(own, bare);

        Assert.That(record.OutputTokens, Is.EqualTo(Tokens));
        AssertAlike(record, await bare);
    }

    [Test]
    public async Task A_generator_that_sends_late_says_so()
    {
        using LateClient client = new(TimeSpan.FromMilliseconds(60));
        LoadGenerator load = new(client, maxConcurrency: null, tokenizer: null);
        double seconds = await load.RunAsync(Singles(5), new double[5], CancellationToken.None);
        ServeResult result = new(load.Records, seconds, goal: null);

        // Timers may fire a little early, never by this much.
        Assert.That(result.SendLag.Percentile(0), Is.GreaterThan(0.05));
        Assert.That(result.ToJson(detailed: false)["mean_send_lag_ms"]!.GetValue<double>(), Is.GreaterThan(50));
    }

    [Test]
    public async Task Requests_held_back_on_purpose_are_not_late()
    {
        using LateClient client = new(TimeSpan.FromMilliseconds(30));
        LoadGenerator load = new(client, maxConcurrency: 1, tokenizer: null);
        double seconds = await load.RunAsync(Singles(10), new double[10], CancellationToken.None);
        ServeResult result = new(load.Records, seconds, goal: null);

        Assert.That(result.SendLag.Mean, Is.LessThan(seconds / 3), "each has waited for all before it, but is late by its own delay only");
    }

    /// <summary>Time to the first token, and from the first to the last; each of many parts, so that one late wake-up does not count.</summary>
    /// <param name="times">[0] sent, then a token each.</param>
    private static void AssertAlike(RequestRecord record, List<long> times)
    {
        double first = Stopwatch.GetElapsedTime(times[0], times[1]).TotalSeconds, rest = Stopwatch.GetElapsedTime(times[1], times[^1]).TotalSeconds;

        Assert.That(times, Has.Count.EqualTo(Tokens + 1));
        Assert.That(record.TimeToFirstToken, Is.EqualTo(first).Within(25).Percent);
        Assert.That(record.Gaps.Sum(), Is.EqualTo(rest).Within(15).Percent);
        Assert.That(record.TimePerToken, Is.EqualTo(rest / (Tokens - 1)).Within(15).Percent);
    }

    private static int[] Prompt(int seed) => new TokenSource(300, 4000, seed).Draw(32);

    private static Conversation[] Singles(int count) => [.. Enumerable.Range(0, count).Select(_ => new Conversation([new Turn([1], 1)]))];

    private static async Task<List<long>> ReadGrpcAsync(string address, int[] prompt)
    {
        GenerateRequest request = new()
        {
            TokenIds = new TokenIds { Ids = { prompt.Select(id => (uint)id) } },
            Stopping = new StoppingOptions { MaxTokens = Tokens, IgnoreEos = true },
        };
        byte[] payload = request.ToByteArray(), body = new byte[5 + payload.Length];
        BinaryPrimitives.WriteInt32BigEndian(body.AsSpan(1), payload.Length);
        payload.CopyTo(body, 5);
        using HttpClient http = new();
        using HttpRequestMessage message = new(HttpMethod.Post, address.TrimEnd('/') + "/llamaserve.v1.Generation/Generate")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue("application/grpc") } },
        };
        message.Headers.TE.Add(new TransferCodingWithQualityHeaderValue("trailers"));
        List<long> times = [Stopwatch.GetTimestamp()];
        using HttpResponseMessage response = await http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead);
        await using Stream stream = await response.Content.ReadAsStreamAsync();
        byte[] header = new byte[5];
        while (await stream.ReadAtLeastAsync(header, 5, throwOnEndOfStream: false) == 5)
        {
            byte[] frame = new byte[BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(1))];
            await stream.ReadExactlyAsync(frame);
            long now = Stopwatch.GetTimestamp();
            int tokens = GenerateResponse.Parser.ParseFrom(frame).Deltas.Sum(delta => delta.TokenIds.Count);
            times.AddRange(Enumerable.Repeat(now, tokens));
        }

        return times;
    }

    private static async Task<List<long>> ReadLinesAsync(Uri endpoint)
    {
        using HttpClient http = new();
        using HttpRequestMessage message = new(HttpMethod.Post, endpoint)
        {
            Content = new StringContent($$"""{"max_tokens": {{Tokens}}}""", Encoding.UTF8, "application/json"),
        };
        List<long> times = [Stopwatch.GetTimestamp()];
        using HttpResponseMessage response = await http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead);
        using StreamReader reader = new(await response.Content.ReadAsStreamAsync());
        while (await reader.ReadLineAsync() is { } line)
        {
            if (line.Contains("\"text\"", StringComparison.Ordinal))
            {
                times.Add(Stopwatch.GetTimestamp());
            }
        }

        return times;
    }

    private sealed class LateClient(TimeSpan delay) : IGenerationClient
    {
        public async Task SendAsync(LoadRequest request, RequestRecord record, CancellationToken cancellationToken)
        {
            await Task.Delay(delay, cancellationToken);
            record.MarkSent();
            record.MarkPiece(1);
            record.MarkEnded(outputTokens: null);
        }

        public void Dispose()
        {
        }
    }
}
