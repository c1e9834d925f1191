using System.CommandLine;
using System.Text.Json.Nodes;
using LlamaServe.Bench.Cost;
using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Tests.Load;

internal sealed class SaveTests
{
    private static readonly Command[] Commands = [ServeCommand.Create(), SweepCommand.Create(), CostCommand.Create()];

    private string _folder = "";

    [SetUp]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory().FullName;

    [TearDown]
    public void DeleteFolder() => Directory.Delete(_folder, recursive: true);

    [TestCaseSource(nameof(Commands))]
    public async Task Nothing_is_sent_where_the_result_cannot_be_written(Command command)
    {
        await using SlowServer server = await SlowServer.StartAsync();

        Assert.That(() => RunAsync(command, server, Path.Combine(_folder, "none", "result.json")), Throws.InstanceOf<IOException>());
        Assert.That(server.Requests, Is.Empty);
    }

    [TestCaseSource(nameof(Commands))]
    public async Task A_result_has_no_key(Command command)
    {
        await using SlowServer server = await SlowServer.StartAsync(key: "secret-key");
        string path = Path.Combine(_folder, "result.json");
        await RunAsync(command, server, path);

        Assert.That(server.Requests, Is.Not.Empty);
        Assert.That(JsonNode.Parse(await File.ReadAllTextAsync(path))!["command"], Is.Not.Null);
        Assert.That(await File.ReadAllTextAsync(path), Does.Not.Contain("secret-key"));
    }

    private static Task<int> RunAsync(Command command, SlowServer server, string path)
    {
        // Each verb takes the options of the others' load; those of price are not serve's.
        string[] price = command.Name == "serve" ? [] : ["--dollars-per-hour", "1"], points = command.Name == "sweep" ? ["--concurrency", "2"] : [];
        string[] arguments =
        [
            "--http", "--address", server.Endpoint.ToString(), "--model", "m", "--api-key", "secret-key", "--count", "4", "--input", "20", "--output", "4",
            "--save", path, .. price, .. points,
        ];
        return command.Parse(arguments).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
    }
}
