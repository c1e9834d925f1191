using System.Text.Json;
using LlamaServe.Server.Tests.Support;
using LlamaServe.Testing;

namespace LlamaServe.Server.Tests;

/// <summary>The executable on the emulated device, as a user runs it.</summary>
[Category("CudaEmulated")]
public sealed class EmulatedDeviceTests
{
    /// <summary>Nats by which rounding activations to BF16 may move a log-probability of the bundled model.</summary>
    private const double Tolerance = 0.08;

    [Test]
    public async Task Generate_says_what_it_says_on_the_cpu()
    {
        JsonElement device = await Generate("cuda-emulated"), cpu = await Generate("cpu");
        Assert.Multiple(() =>
        {
            Assert.That(Ids(device), Is.EqualTo(Ids(cpu)));
            Assert.That(device.GetProperty("text").GetString(), Is.EqualTo(cpu.GetProperty("text").GetString()));
            Assert.That(LogProbs(device), Is.EqualTo(LogProbs(cpu)).Within(Tolerance).And.Exactly(4).Items);
            Assert.That(device.GetProperty("finish_reason").GetString(), Is.EqualTo("length"));
        });
    }

    private static int[] Ids(JsonElement json) => [.. json.GetProperty("token_ids").EnumerateArray().Select(id => id.GetInt32())];

    private static double[] LogProbs(JsonElement json) => [.. json.GetProperty("logprobs").EnumerateArray().Select(value => value.GetDouble())];

    private static async Task<JsonElement> Generate(string device)
    {
        (int exitCode, string output, string errors) = await ServerProcess.Run(
            "generate", "Once upon a time there was a king who had three", "--model", RepositoryPaths.BundledModel, "--device", device,
            "--max-tokens", "4", "--temperature", "0", "--json", "--kv-cache-gb", "0.02");
        bool isRequired = (Environment.GetEnvironmentVariable("LLAMASERVE_REQUIRED_TOOLS") ?? "").Split(' ').Contains("g++");
        if (exitCode != 0 && !isRequired && errors.Contains("C++ compiler", StringComparison.Ordinal))
        {
            Assert.Ignore($"{errors.Trim()} generate --device {device} is NOT checked");
        }
        Assert.That(exitCode, Is.Zero, errors);
        return JsonDocument.Parse(output).RootElement;
    }
}
