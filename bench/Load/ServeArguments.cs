using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace LlamaServe.Bench.Load;

/// <summary>The options of all verbs that load a running server.</summary>
internal static class ServeArguments
{
    private const string KeyVariable = "OPENAI_API_KEY";

    private static readonly Option<Uri> Address = new("--address")
    {
        Description = "http://host:50051 for gRPC; with --http the endpoint, e.g. http://host:8000/v1/completions.",
        DefaultValueFactory = _ => new Uri("http://127.0.0.1:50051"),
        CustomParser = Checked(text => Uri.TryCreate(text, UriKind.Absolute, out Uri? address) && address.Scheme is "http" or "https"
            ? address
            : throw new ArgumentException($"\"{text}\" is no http address.")),
    };

    private static readonly Option<bool> Http = new("--http") { Description = "OpenAI's HTTP interface instead of gRPC." };
    private static readonly Option<string> Model = new("--model") { Description = "Name to ask for over HTTP; by default the first of /v1/models.", DefaultValueFactory = _ => "" };
    private static readonly Option<string?> ApiKey = new("--api-key") { Description = $"Sent as a bearer token over HTTP; by default the environment's {KeyVariable}. Never saved." };
    private static readonly Option<string[]> Headers = new("--header") { Description = "NAME=VALUE to send along over HTTP; may be given several times. Never saved." };
    private static readonly Option<string?> Tokenizer = new("--tokenizer") { Description = "Snapshot folder or GGUF file of the model; needed for text." };
    private static readonly Option<bool> Text = new("--text") { Description = "Send prompts as text; chats always are." };
    private static readonly Option<string> Workload = new("--workload") { Description = "synthetic, sharegpt or agents.", DefaultValueFactory = _ => "synthetic" };
    private static readonly Option<string?> File = new("--file") { Description = "The conversations, in ShareGPT's format." };
    private static readonly Option<int> Skip = Count("--skip", "Conversations of the file to pass over: those that a run before has sent.", 0);
    private static readonly Option<LengthDistribution> Input = Length("--input", "Prompt (agents: what a turn adds)", "512");
    private static readonly Option<LengthDistribution> Output = Length("--output", "Answer", "128");
    private static readonly Option<double> SharedPrefix = Number("--shared-prefix", "Part of each synthetic prompt that all share, 0 to 1.", 0);
    private static readonly Option<int> Turns = Count("--turns", "Turns of an agent.", 8);
    private static readonly Option<int> SystemTokens = Count("--system", "Tokens of the agents' common system prompt.", 1024);
    private static readonly Option<int> Conversations = Count("--count", "Conversations; a synthetic one is one request.", 1000);
    private static readonly Option<double> Rate = Number("--rate", "Conversations a second; inf: all at once.", double.PositiveInfinity);
    private static readonly Option<double> Burstiness = Number("--burstiness", "1: Poisson; less: bursts; inf: a fixed rate.", 1);
    private static readonly Option<int?> Concurrency = new("--max-concurrency") { Description = "Requests in flight at most." };
    private static readonly Option<int> Connections = Count("--connections", "HTTP/2 connections over gRPC.", 4);
    private static readonly Option<int> Seed = Count("--seed", "Of lengths and arrivals.", 0);
    private static readonly Option<int?> IdSeed = new("--id-seed") { Description = "Of token ids; by default new in each run, so that none finds another's prefixes in a cache." };
    private static readonly Option<int> WarmUp = Count("--warm-up", "Requests before the measured ones.", 4);
    private static readonly Option<string[]> Goals = new("--goodput") { Description = "Goals in ms: ttft:500 tpot:50 e2el:9000.", AllowMultipleArgumentsPerToken = true };

    /// <summary>All of them, for a command.</summary>
    public static IReadOnlyList<Option> All { get; } =
    [
        Address, Http, Model, ApiKey, Headers, Tokenizer, Text, Workload, File, Skip, Input, Output, SharedPrefix, Turns, SystemTokens, Conversations, Rate,
        Burstiness, Concurrency, Connections, Seed, IdSeed, WarmUp, Goals,
    ];

    public static ServeOptions Read(ParseResult parsed) => new(
        parsed.GetRequiredValue(Address), parsed.GetValue(Http), parsed.GetRequiredValue(Model), parsed.GetValue(Tokenizer), parsed.GetValue(Text),
        parsed.GetRequiredValue(Workload), parsed.GetValue(File), parsed.GetRequiredValue(Input), parsed.GetRequiredValue(Output),
        parsed.GetValue(SharedPrefix), parsed.GetValue(Turns), parsed.GetValue(SystemTokens), parsed.GetValue(Conversations), parsed.GetValue(Rate),
        parsed.GetValue(Burstiness), parsed.GetValue(Concurrency), parsed.GetValue(Connections), parsed.GetValue(Seed),
        parsed.GetValue(IdSeed) ?? Random.Shared.Next(), parsed.GetValue(WarmUp),
        ServiceLevel.Parse(parsed.GetValue(Goals) ?? []))
    {
        Headers = [.. HeadersOf(parsed)],
        Skip = parsed.GetValue(Skip),
    };

    private static IEnumerable<KeyValuePair<string, string>> HeadersOf(ParseResult parsed)
    {
        string[] headers = parsed.GetValue(Headers) ?? [];
        bool isHttp = parsed.GetValue(Http);
        if (!isHttp && (headers.Length > 0 || parsed.GetValue(ApiKey) is not null))
        {
            throw new ArgumentException("--api-key and --header are for --http");
        }

        if (isHttp && (parsed.GetValue(ApiKey) ?? Environment.GetEnvironmentVariable(KeyVariable)) is { Length: > 0 } key)
        {
            yield return new("Authorization", $"Bearer {key}");
        }

        foreach (string header in headers)
        {
            int end = header.IndexOf('=');
            yield return end > 0
                ? new KeyValuePair<string, string>(header[..end], header[(end + 1)..])
                : throw new ArgumentException("a --header is NAME=VALUE");
        }
    }

    private static Option<int> Count(string name, string description, int value) => new(name) { Description = description, DefaultValueFactory = _ => value };

    /// <summary>A number option; <c>inf</c> is infinity.</summary>
    public static Option<double> Number(string name, string description, double value) => new(name)
    {
        Description = description,
        DefaultValueFactory = _ => value,
        CustomParser = Checked(text => text == "inf" ? double.PositiveInfinity
            : double.TryParse(text, CultureInfo.InvariantCulture, out double number) ? number
            : throw new ArgumentException($"\"{text}\" is no number.")),
    };

    private static Option<LengthDistribution> Length(string name, string what, string value) => new(name)
    {
        Description = $"{what} in tokens: 128, 100-200 or lognormal:MEDIAN,SIGMA.",
        DefaultValueFactory = _ => LengthDistribution.Parse(value),
        CustomParser = Checked(LengthDistribution.Parse),
    };

    private static Func<ArgumentResult, T?> Checked<T>(Func<string, T> parse) => argument =>
    {
        try
        {
            return parse(argument.Tokens[0].Value);
        }
        catch (ArgumentException exception)
        {
            argument.AddError(exception.Message);
            return default;
        }
    };
}
