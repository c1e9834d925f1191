using System.CommandLine;
using System.Text.Json.Nodes;
using LlamaServe.Bench.Frontend;
using LlamaServe.Bench.Load;
using LlamaServe.Testing;
using Microsoft.AspNetCore.Builder;

namespace LlamaServe.Bench.Tests.Load;

/// <summary>Servers that are not like ours: with keys, without usage, with empty pieces, with ends of their own.</summary>
internal sealed class AnyServerTests
{
    private const int Requests = 6;

    private static readonly ServeOptions Options = ServeRunTests.Options;

    [Test]
    public async Task The_key_goes_with_every_request()
    {
        await using SlowServer server = await SlowServer.StartAsync(key: "k", model: "served");
        ServeOptions options = Options with { Address = server.Endpoint };
        ServeResult without = await RunAsync(options), with = await RunAsync(options with { Model = "", Headers = [new("Authorization", "Bearer k")] });

        Assert.That((without.Completed, without.Errors.Single().Error[..3]), Is.EqualTo((0, "401")));
        Assert.That(with.Completed, Is.EqualTo(Requests));
    }

    [Test]
    public void Key_and_headers_are_read_from_options()
    {
        ServeOptions options = Read("--http", "--api-key", "k", "--header", "X-Tenant=a=b", "--header", "X-Other=");

        Assert.That(options.Headers, Is.EqualTo(new KeyValuePair<string, string>[] { new("Authorization", "Bearer k"), new("X-Tenant", "a=b"), new("X-Other", "") }));
        Assert.That(() => Read("--http", "--header", "none"), Throws.ArgumentException.With.Message.Contains("NAME=VALUE"));
        Assert.That(() => Read("--api-key", "k"), Throws.ArgumentException.With.Message.Contains("--http"));
    }

    [Test]
    public async Task A_model_without_a_name_is_the_first_that_is_listed()
    {
        await using SlowServer server = await SlowServer.StartAsync(model: "served");
        ServeOptions options = Options with { Address = server.Endpoint, Model = "" };
        ServeResult result = await RunAsync(options);

        Assert.That(server.Requests.Select(body => body["model"]!.GetValue<string>()), Has.All.EqualTo("served").And.Exactly(Requests).Items);
        Assert.That(ServeJson.Of(options, result, detailed: false)["model_id"]!.GetValue<string>(), Is.EqualTo("served"));
    }

    [Test]
    public async Task A_server_that_lists_none_needs_a_name()
    {
        await using SlowServer server = await SlowServer.StartAsync();

        Assert.That(
            () => RunAsync(Options with { Address = server.Endpoint, Model = "" }), Throws.InvalidOperationException.With.Message.Contains("--model"));
    }

    [Test]
    public async Task Without_usage_pieces_are_counted_and_the_result_says_so()
    {
        await using SlowServer server = await SlowServer.StartAsync(tellsUsage: false);
        ServeResult result = await RunAsync(Options with { Address = server.Endpoint });

        Assert.That((result.Completed, result.OutputTokens, result.EstimatedLengths), Is.EqualTo((Requests, 4L * Requests, Requests)));
        Assert.That(Table(result), Does.Contain($"{Requests} answers came without usage"));
    }

    [Test]
    public async Task Without_usage_a_tokenizer_counts_the_text()
    {
        await using SlowServer server = await SlowServer.StartAsync(tellsUsage: false);
        ServeResult result = await RunAsync(Options with { Address = server.Endpoint, Tokenizer = RepositoryPaths.BundledModel });
        int tokens = ServeRun.LoadTokenizer(RepositoryPaths.BundledModel).Encode("xxxx", addSpecialTokens: false).Count;

        Assert.That((result.OutputTokens, result.EstimatedLengths), Is.EqualTo(((long)tokens * Requests, Requests)));
    }

    [Test]
    public async Task A_stream_that_breaks_off_or_fails_is_no_answer()
    {
        await using SlowServer cut = await SlowServer.StartAsync(breaksOff: true), failing = await SlowServer.StartAsync(error: "out of memory");
        ServeResult broken = await RunAsync(Options with { Address = cut.Endpoint }), failed = await RunAsync(Options with { Address = failing.Endpoint });

        Assert.That((broken.Completed, broken.Errors.Single().Error), Is.EqualTo((0, "the stream broke off")));
        Assert.That(failed.Completed, Is.Zero);
        Assert.That(failed.Errors.Single().Error, Does.Contain("out of memory"));
    }

    [Test]
    public async Task Answers_of_another_length_are_counted()
    {
        await using SlowServer shorter = await SlowServer.StartAsync(length: 3), exact = await SlowServer.StartAsync();
        ServeResult wrong = await RunAsync(Options with { Address = shorter.Endpoint }), right = await RunAsync(Options with { Address = exact.Endpoint });

        Assert.That((wrong.Completed, wrong.WrongLengths, right.WrongLengths), Is.EqualTo((Requests, Requests, 0)));
        Assert.That(Table(wrong), Does.Contain($"{Requests} answers have another length"));
        Assert.That(Table(right), Does.Not.Contain("another length"));
    }

    [Test]
    public async Task An_empty_piece_is_the_first_but_not_the_first_text()
    {
        TimeSpan wait = TimeSpan.FromMilliseconds(300);
        await using SlowServer server = await SlowServer.StartWithRoleAsync(wait);
        ServeResult result = await RunAsync(Options with { Address = server.Endpoint, Conversations = 1 });

        // Timers may fire a little early, never by this much; the piece itself may come late.
        Assert.That(result.TimeToFirstText.Mean, Is.GreaterThan(0.28));
        Assert.That(result.TimeToFirstText.Mean, Is.GreaterThan(result.TimeToFirstToken.Mean));
        Assert.That((result.EmptyPieces, result.InterTokenLatency.Count), Is.EqualTo((1, 4)));
        Assert.That(Table(result), Does.Contain("time to first text"));
    }

    [Test]
    public async Task What_the_server_found_in_its_cache_is_told()
    {
        await using SlowServer server = await SlowServer.StartAsync(prompt: (24, 18)), silent = await SlowServer.StartAsync();
        ServeResult told = await RunAsync(Options with { Address = server.Endpoint }), untold = await RunAsync(Options with { Address = silent.Endpoint });

        Assert.That((told.CachedShare, told.InputTokens), Is.EqualTo((0.75, 24L * Requests)));
        Assert.That(untold.CachedShare, Is.Null);
    }

    [Test]
    public async Task Agents_chat_in_messages_of_each_role()
    {
        await using SlowServer server = await SlowServer.StartAsync();
        ServeResult result = await RunAsync(Options with
        {
            Address = server.ChatEndpoint,
            Tokenizer = RepositoryPaths.BundledModel,
            Workload = "agents",
            Turns = 3,
            SystemTokens = 16,
            Conversations = 1,
        });
        JsonArray[] chats = [.. server.Requests.Select(body => body["messages"]!.AsArray())];

        Assert.That(result.Completed, Is.EqualTo(3));
        Assert.That(chats.Select(chat => string.Join(' ', chat.Select(message => message!["role"]!.GetValue<string>()))), Is.EqualTo(new[]
        {
            "system user", "system user assistant user", "system user assistant user assistant user",
        }));
        // The server's own words, and nothing that was said before has changed.
        Assert.That(chats[2][2]!["content"]!.GetValue<string>(), Is.EqualTo("xxxx"));
        Assert.That(chats[2].Take(4).Select(message => message!.ToJsonString()), Is.EqualTo(chats[1].Select(message => message!.ToJsonString())));
        Assert.That(chats[2].Select(message => message!["content"]!.GetValue<string>()), Has.All.Not.Empty);
    }

    [Test]
    public async Task Over_gRPC_cached_tokens_and_texts_are_noted()
    {
        (WebApplication app, string address) = await FrontendServer.StartAsync(CancellationToken.None);
        await using WebApplication server = app;
        ServeOptions options = Options with { IsHttp = false, Address = new Uri(address), Input = new(40, 40) };
        ServeResult first = await RunAsync(options), again = await RunAsync(options);

        // Two whole blocks of 16.
        Assert.That((first.CachedShare, again.CachedShare), Is.EqualTo((0.0, 0.8)));
        Assert.That(again.Model, Is.EqualTo("null"));
        Assert.That(again.ToJson(detailed: true)["generated_texts"]!.AsArray().Select(text => text!.GetValue<string>()), Has.All.Not.Empty);
    }

    [Test]
    public async Task Failures_of_the_warm_up_are_not_passed_over()
    {
        await using SlowServer server = await SlowServer.StartAsync(TimeSpan.Zero, TimeSpan.Zero, failEvery: 3), down = await SlowServer.StartAsync(TimeSpan.Zero, TimeSpan.Zero, failEvery: 1);
        ServeResult result = await RunAsync(Options with { Address = server.Endpoint, WarmUp = 4 });

        Assert.That((result.FailedWarmUps, result.Failed), Is.EqualTo((1, 2)));
        Assert.That(Table(result), Does.Contain("1 requests of the warm-up failed"));
        Assert.That(() => RunAsync(Options with { Address = down.Endpoint, WarmUp = 2 }), Throws.InvalidOperationException.With.Message.Contains("503: no room"));
    }

    private static Task<ServeResult> RunAsync(ServeOptions options) => ServeRun.RunAsync(options, TextWriter.Null, CancellationToken.None);

    private static ServeOptions Read(params string[] arguments)
    {
        RootCommand command = [];
        foreach (Option option in ServeArguments.All)
        {
            command.Add(option);
        }

        return ServeArguments.Read(command.Parse(arguments));
    }

    private static string Table(ServeResult result)
    {
        StringWriter table = new();
        ServeTable.Write(result, table);
        return table.ToString();
    }
}
