using System.CommandLine;
using LlamaServe.Bench.Models;
using LlamaServe.Kernels;

namespace LlamaServe.Bench.Serving;

/// <summary><c>memory</c>: the published server's peak memory with a full KV cache.</summary>
internal static class MemoryCommand
{
    public static Command Create()
    {
        Option<WeightFormat> format = new("--format") { Description = "Storage format of the model.", DefaultValueFactory = _ => WeightFormat.Q4_0 };
        format.AcceptOnlyFromAmong("F32", "F16", "BF16", "Q8_0", "Q4_0");
        Option<double> kvCache = new("--kv-cache-gb") { Description = "Size of the KV cache in GB.", DefaultValueFactory = _ => 0.5 };
        Option<int> sequences = new("--sequences") { Description = "Requests that fill it together.", DefaultValueFactory = _ => 256 };
        Option<DirectoryInfo> folder = new("--folder")
        {
            Description = "Where the model file is kept.",
            DefaultValueFactory = _ => BenchModel.DefaultFolder,
        };
        Command command = new("memory", "Measure the published server's peak memory beside weights and KV cache.")
        {
            format, kvCache, sequences, folder,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            LlamaShape shape = new();
            WeightFormat stored = parsed.GetValue(format);
            string model = BenchModel.Ensure(parsed.GetRequiredValue(folder), shape, stored, BenchModel.DefaultSeed);
            string program = await PublishedServer.PublishAsync([], cancellationToken);
            MemoryRun run = new(program, shape, model, parsed.GetValue(kvCache), parsed.GetValue(sequences));
            MemoryResult result = await run.MeasureAsync(stored, cancellationToken);
            Console.WriteLine(result);
            Console.WriteLine(ResultFile.Save("memory", limits: null, result));
        });
        return command;
    }
}
