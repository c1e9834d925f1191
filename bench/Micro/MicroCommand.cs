using System.CommandLine;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Exporters.Json;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace LlamaServe.Bench.Micro;

/// <summary><c>micro</c>: small parts, by BenchmarkDotNet.</summary>
internal static class MicroCommand
{
    /// <summary>Suite's name in results and baselines.</summary>
    public const string Suite = "micro";

    /// <summary>Enough for the JIT to have compiled loops for good.</summary>
    private const int QuickWarmUps = 8;

    /// <summary>The part that BenchmarkDotNet has no hand in.</summary>
    private const string Host = "host";

    private static readonly (string Part, Type Type)[] Parts =
    [
        ("scheduler", typeof(SchedulerBenchmarks)),
        ("cache", typeof(KvCacheBenchmarks)),
        ("tokenizer", typeof(TokenizerBenchmarks)),
        ("sampler", typeof(SamplerBenchmarks)),
    ];

    public static Command Create()
    {
        string[] names = [.. Parts.Select(part => part.Part), Host];
        Option<string[]> parts = new("--parts")
        {
            Description = "What to measure.",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => names,
        };
        parts.AcceptOnlyFromAmong(names);
        Option<bool> quick = new("--quick") { Description = "Few iterations: to try it, not to quote it." };
        Option<string?> json = new("--json") { Description = "File for the result instead of one in bench/results." };
        Command command = new("micro", "Measure time and allocations of scheduler, KV cache, tokenizer and sampler, and the host work of a step.") { parts, quick, json };
        command.SetAction(async (parsed, _) =>
        {
            string path = ResultFile.Reserve(parsed.GetValue(json), Suite);
            string[] wanted = parsed.GetRequiredValue(parts);
            IConfig config = Config(parsed.GetValue(quick) ? Job.ShortRun.WithWarmupCount(QuickWarmUps) : Job.Default);
            MicroRow[] rows = [.. Parts.Where(part => wanted.Contains(part.Part))
                .SelectMany(part => MicroRow.Of(BenchmarkRunner.Run(part.Type, config)))];
            MicroTable.Write(rows, Console.Out);
            if (wanted.Contains(Host))
            {
                Console.WriteLine(await HostStep.MeasureAsync());
            }
            ResultFile.WriteTo(path, new { Suite, Rows = rows });
            Console.WriteLine(path);
        });
        return command;
    }

    /// <summary>In this process, because a project that BenchmarkDotNet generates would be built under this repository's rules.</summary>
    private static ManualConfig Config(Job job) => ManualConfig.CreateEmpty()
        .AddJob(job.WithToolchain(InProcessEmitToolchain.Instance))
        .AddLogger(ConsoleLogger.Default)
        .AddColumnProvider(DefaultColumnProviders.Instance)
        .AddDiagnoser(MemoryDiagnoser.Default)
        .AddExporter(JsonExporter.Brief)
        .WithArtifactsPath(Path.Combine(Repository.Root, "artifacts", "benchmarks"));
}
