using System.CommandLine;
using LlamaServe.Bench.Models;
using LlamaServe.Kernels;

namespace LlamaServe.Bench.Peers;

/// <summary><c>peers</c>: this engine beside llama.cpp and naive PyTorch, by turns on the same files.</summary>
internal static class PeersCommand
{
    public static Command Create()
    {
        Option<WeightFormat[]> formats = new("--format")
        {
            Description = "Storage formats to compare.",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => [WeightFormat.Q4_0, WeightFormat.Q8_0],
        };
        Option<int> rounds = new("--rounds") { Description = "Rounds; medians are reported.", DefaultValueFactory = _ => 5 };
        Option<int> threads = new("--threads") { Description = "Threads of each engine; by default all processors.", DefaultValueFactory = _ => Environment.ProcessorCount };
        Option<DirectoryInfo> folder = new("--folder")
        {
            Description = "Where the model files are kept.",
            DefaultValueFactory = _ => BenchModel.DefaultFolder,
        };
        Option<PeerKind[]> peers = new("--peers")
        {
            Description = "Other engines.",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => [PeerKind.Naive, PeerKind.LlamaCpp],
        };
        Option<string?> json = new("--json") { Description = "File for the result instead of one in bench/results." };
        Command command = new("peers", "Measure LlamaServe beside llama.cpp and naive PyTorch on a random Llama of 1.04 billion parameters.")
        {
            formats, peers, rounds, threads, folder, json,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            if (parsed.GetValue(rounds) < 1 || parsed.GetValue(threads) < 1)
            {
                throw new ArgumentException("--rounds and --threads are at least 1");
            }

            PeerRun run = new(
                new LlamaShape(), parsed.GetRequiredValue(folder), parsed.GetValue(rounds), parsed.GetValue(threads), parsed.GetValue(json), Console.Out);
            await run.CompareAsync(parsed.GetRequiredValue(formats), parsed.GetRequiredValue(peers), cancellationToken);
        });
        return command;
    }
}
