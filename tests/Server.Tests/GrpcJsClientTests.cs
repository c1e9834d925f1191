using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json;
using Google.Protobuf;
using LlamaServe.Server.Tests.Support;
using LlamaServe.Testing;
using LlamaServe.V1;

namespace LlamaServe.Server.Tests;

/// <summary>The service as a client sees it whose gRPC implementation is not .NET's: npm's @grpc/grpc-js with the .proto file.</summary>
public sealed class GrpcJsClientTests
{
    private const string NotChecked = "interoperability with grpc-js is NOT checked";

    // The client keeps the names of the .proto file.
    private static readonly JsonFormatter Json = new(JsonFormatter.Settings.Default.WithPreserveProtoFieldNames(true));

    private static readonly string Folder = Path.Combine(RepositoryPaths.Root, "tests", "clients", "grpc-js");

    [OneTimeSetUp]
    public async Task InstallPackages()
    {
        if (Directory.Exists(Path.Combine(Folder, "node_modules", "@grpc", "grpc-js")))
        {
            return;
        }
        (int exitCode, _) = await Run("npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0");
        if (exitCode != 0)
        {
            Assert.Ignore($"npm cannot install the client's packages: {NotChecked}");
        }
    }

    [Test]
    public async Task Tokens_stream_to_a_client_of_another_implementation_as_they_do_to_this_one()
    {
        await using TestServer server = await TestServer.StartBundled(TestServer.SmallEngine());
        GenerateRequest request = Requests.Text("Once upon a time", maxTokens: 24);
        StreamResult expected = await StreamResult.Read(server.Client.Generate(request));
        using JsonDocument answer = await Stream(server, request, expectedExitCode: 0);
        JsonElement root = answer.RootElement;
        Assert.Multiple(() =>
        {
            Assert.That(root.GetProperty("token_ids").EnumerateArray().Select(id => id.GetUInt32()), Is.EqualTo(expected.Ids()));
            Assert.That(root.GetProperty("text").GetString(), Is.EqualTo(expected.Text()));
            Assert.That(root.GetProperty("finish_reason").GetString(), Is.EqualTo("FINISH_REASON_LENGTH"));
            Assert.That(root.GetProperty("usage").GetProperty("completion_tokens").GetUInt32(), Is.EqualTo(24));
            Assert.That(root.GetProperty("prompt").GetProperty("prompt_tokens").GetUInt32(), Is.EqualTo(expected.Prompt.PromptTokens));
            Assert.That(root.GetProperty("timings").GetProperty("time_to_first_token_ms").GetDouble(), Is.Positive);
        });
    }

    [Test]
    public async Task A_refusal_reaches_that_client_with_its_status_and_message()
    {
        await using TestServer server = await TestServer.StartTiny();
        GenerateRequest request = Requests.Apply(Requests.Text("hello", maxTokens: 1), r => r.Sampling.TopP = 5);
        using JsonDocument answer = await Stream(server, request, expectedExitCode: 2);
        Assert.That(answer.RootElement.GetProperty("status").GetString(), Is.EqualTo("INVALID_ARGUMENT"));
        Assert.That(answer.RootElement.GetProperty("message").GetString(), Does.Contain("top_p"));
    }

    private static async Task<JsonDocument> Stream(TestServer server, GenerateRequest request, int expectedExitCode)
    {
        (int exitCode, string output) = await Run("node", "stream.mjs", new Uri(server.Address).Authority, Json.Format(request));
        Assert.That(exitCode, Is.EqualTo(expectedExitCode), output);
        return JsonDocument.Parse(output);
    }

    private static async Task<(int ExitCode, string Output)> Run(string program, params string[] arguments)
    {
        using Process process = Start(new ProcessStartInfo(program, arguments) { WorkingDirectory = Folder, RedirectStandardOutput = true });
        using CancellationTokenSource expired = new(TimeSpan.FromMinutes(2));
        using CancellationTokenRegistration kill = expired.Token.Register(() => process.Kill(entireProcessTree: true));
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, output);
    }

    private static Process Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception)
        {
            Assert.Ignore($"{start.FileName} is not installed: {NotChecked}");
            throw;
        }
    }
}
