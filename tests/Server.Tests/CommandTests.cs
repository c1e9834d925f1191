using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Grpc.Core;
using Grpc.Net.Client;
using LlamaServe.Server.Tests.Support;
using LlamaServe.Testing;
using LlamaServe.V1;

namespace LlamaServe.Server.Tests;

/// <summary>The executable as a user runs it.</summary>
public sealed class CommandTests
{
    private TemporaryFolder _folder = null!;
    private string _model = null!;

    [OneTimeSetUp]
    public void WriteModel()
    {
        _folder = new TemporaryFolder();
        _model = _folder.File("tiny");
        TinyModels.Create(TestServer.LongTiny, _model, seed: 7);
    }

    [OneTimeTearDown]
    public void DeleteModel() => _folder.Dispose();

    [Test]
    public async Task Generate_prints_one_json_object_and_nothing_else()
    {
        (int exitCode, string output, string errors) = await ServerProcess.Run(
            "generate", "Once", "--model", _model, "--max-tokens", "8", "--temperature", "0", "--seed", "5", "--json", "--kv-cache-gb", "0.1");
        Assert.That(exitCode, Is.Zero, errors);
        Assert.That(output.TrimEnd('\n'), Does.Not.Contain('\n'));
        JsonElement json = JsonDocument.Parse(output).RootElement;
        JsonElement timings = json.GetProperty("timings");
        Assert.Multiple(() =>
        {
            Assert.That(json.GetProperty("text").GetString(), Is.Not.Empty);
            Assert.That(json.GetProperty("token_ids").GetArrayLength(), Is.EqualTo(8));
            Assert.That(json.GetProperty("logprobs").EnumerateArray().Select(l => l.GetDouble()), Is.All.LessThanOrEqualTo(0).And.Exactly(8).Items);
            Assert.That(json.GetProperty("finish_reason").GetString(), Is.EqualTo("length"));
            Assert.That(json.GetProperty("seed").GetUInt64(), Is.EqualTo(5));
            Assert.That(json.GetProperty("usage").GetProperty("prompt_tokens").GetInt32(), Is.EqualTo(4));
            Assert.That(json.GetProperty("usage").GetProperty("completion_tokens").GetInt32(), Is.EqualTo(8));
            Assert.That(timings.GetProperty("queue_ms").GetDouble(), Is.GreaterThanOrEqualTo(0));
            foreach (string measure in new[] { "prefill_ms", "time_to_first_token_ms", "prefill_tokens_per_second", "decode_tokens_per_second" })
            {
                Assert.That(timings.GetProperty(measure).GetDouble(), Is.GreaterThan(0), measure);
            }
        });
    }

    [Test]
    public async Task Generate_prints_the_text_of_a_running_server()
    {
        await using TestServer server = await TestServer.StartTiny();
        string expected = (await StreamResult.Read(server.Client.Generate(Requests.Text("abc", 12)))).Text();
        (int exitCode, string output, string errors) = await ServerProcess.Run(
            "generate", "abc", "--address", server.Address, "--max-tokens", "12", "--temperature", "0");
        Assert.That(exitCode, Is.Zero, errors);
        Assert.That(output, Is.EqualTo(expected + "\n"));
        Assert.That(errors, Does.Contain("3 + 12 tokens"));
    }

    [Test]
    public async Task Sigterm_drains_running_requests_and_exits_with_0()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("Windows has no SIGTERM: the drain of a process is NOT tested");
        }
        using ServerProcess process = ServerProcess.Start("--model", _model, "--port", "0", "--metrics-port", "0", "--kv-cache-gb", "0.1");
        using GrpcChannel channel = GrpcChannel.ForAddress(await process.GrpcAddress());
        Generation.GenerationClient client = new(channel);
        using AsyncServerStreamingCall<GenerateResponse> call = client.Generate(
            Requests.Apply(Requests.Endless(), r => r.Stopping.MaxTokens = 3000));
        await call.ResponseStream.MoveNext();
        process.Terminate();
        StreamResult refused;
        do
        {
            refused = await StreamResult.Read(client.Generate(Requests.Text("a", 1)));
        }
        while (refused.Status == StatusCode.OK);
        StreamResult running = await StreamResult.Read(call);
        int exitCode = await process.Exit();
        Assert.Multiple(() =>
        {
            Assert.That(refused.Status, Is.EqualTo(StatusCode.Unavailable));
            Assert.That(running.Status, Is.EqualTo(StatusCode.OK));
            Assert.That(running.Usage.CompletionTokens, Is.EqualTo(3000));
            Assert.That(exitCode, Is.Zero);
        });
    }

    [Test]
    public async Task A_model_that_is_not_there_ends_with_one_sentence()
    {
        (int exitCode, string output, string errors) = await ServerProcess.Run("--model", "no-such-model", "--port", "0", "--no-metrics");
        Assert.Multiple(() =>
        {
            Assert.That(exitCode, Is.EqualTo(2));
            Assert.That(output, Is.Empty);
            Assert.That(errors, Does.Contain("no-such-model").And.Not.Contain("   at "));
        });
    }

    [Test]
    public async Task Tokens_without_a_row_are_warned_of()
    {
        string model = _folder.File("padded");
        TinyModels.Create(TinyModel.Llama31 with { VocabularySize = 257 }, model, seed: 7);
        (int exitCode, _, string errors) = await ServerProcess.Run("generate", "Once", "--model", model, "--max-tokens", "2", "--kv-cache-gb", "0.1");
        Assert.That(exitCode, Is.Zero, errors);
        Assert.That(errors, Does.Contain("padded has no row for the tokenizer's added ids 257 to 257"));
    }

    [Test]
    public async Task A_port_in_use_ends_with_one_sentence()
    {
        using TcpListener taken = new(IPAddress.Loopback, 0);
        taken.Start();
        int port = ((IPEndPoint)taken.LocalEndpoint).Port;
        (int exitCode, _, string errors) = await ServerProcess.Run("serve", "--model", _model, "--port", $"{port}", "--no-metrics");
        Assert.Multiple(() =>
        {
            Assert.That(exitCode, Is.EqualTo(3));
            Assert.That(errors, Does.Contain($"{port}").And.Contain("in use").And.Not.Contain("   at "));
        });
    }

    [Test]
    public async Task No_server_at_an_address_ends_with_one_sentence()
    {
        (int exitCode, _, string errors) = await ServerProcess.Run("generate", "x", "--address", "http://127.0.0.1:1");
        Assert.That((exitCode, errors.Trim()), Is.EqualTo((3, "No server answers at http://127.0.0.1:1")));
    }

    [TestCase("--port", "70000")]
    [TestCase("--max-batch-tokens", "0")]
    [TestCase("--kv-type", "f8")]
    [TestCase("--kv-host-gb", "-1")]
    [TestCase("--address", "nowhere")]
    [TestCase("--drain-timeout", "-1")]
    [TestCase("--no-such-option", "1")]
    public async Task A_wrong_option_is_named(string option, string value)
    {
        (int exitCode, _, string errors) = await ServerProcess.Run(option, value);
        Assert.That(exitCode, Is.EqualTo(1));
        Assert.That(errors, Does.Contain(option).Or.Contain(value));
    }

    [Test]
    public async Task Help_lists_commands_and_options()
    {
        (int exitCode, string output, _) = await ServerProcess.Run("--help");
        Assert.That(exitCode, Is.Zero);
        Assert.That(output, Does.Contain("generate").And.Contain("--model").And.Contain("--drain-timeout"));
    }
}
