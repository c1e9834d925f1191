using LlamaServe.Bench.Frontend;
using LlamaServe.Models.Tokenization;
using LlamaServe.Models.Weights;
using LlamaServe.V1;

namespace LlamaServe.Bench.Load;

/// <summary>Warms a server up, loads it, and gathers what came of it.</summary>
internal static class ServeRun
{
    // Ids below are bytes and special tokens in most vocabularies; without a tokenizer at hand they are left out.
    private const int FirstOrdinaryId = 1000;
    private const int FewestIds = 4096;

    /// <exception cref="ArgumentException">Options contradict each other.</exception>
    /// <exception cref="InvalidOperationException">The server does not answer.</exception>
    public static async Task<ServeResult> RunAsync(ServeOptions options, TextWriter output, CancellationToken cancellationToken)
    {
        Tokenizer? tokenizer = options.Tokenizer is { } path ? LoadTokenizer(path) : null;
        Check(options, tokenizer);
        if (options.IsHttp && options.Model.Length == 0)
        {
            options = options with { Model = await OpenAiGenerationClient.FindModelAsync(options.Address, options.Headers, cancellationToken) };
        }

        using IGenerationClient client = Client(options, tokenizer);
        (int first, int end, string model) = await ModelAsync(client, options, tokenizer, cancellationToken);
        TokenSource ids = new(first, end, options.IdSeed);
        Random random = new(options.Seed);
        Conversation[] conversations = [.. Make(options, tokenizer, ids, random)];
        double[] arrivals = ArrivalTimes.Draw(conversations.Length, options.Rate, options.Burstiness, random);
        Conversation[] others = [.. new SyntheticWorkload(new(32, 32), new(16, 16), 0).Make(options.WarmUp, new TokenSource(first, end, ~options.IdSeed), random)];
        int failedWarmUps = await WarmUpAsync(new LoadGenerator(client, options.MaxConcurrency, tokenizer), others, cancellationToken);
        LoadGenerator load = new(client, options.MaxConcurrency, tokenizer);
        using CancellationTokenSource done = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        int total = conversations.Sum(conversation => conversation.Turns.Count);
        Task progress = ProgressLine.ShowAsync(load, total, output, isTerminal: !Console.IsOutputRedirected, done.Token);
        ProcessorClock processor = new();
        double seconds = await load.RunAsync(conversations, arrivals, cancellationToken);
        ServeResult result = new(load.Records, seconds, options.Goal)
        {
            ClientProcessorSeconds = processor.Own,
            OthersShare = processor.OthersShare(clients: 0, seconds),
            FailedWarmUps = failedWarmUps,
            Model = model,
        };
        await done.CancelAsync();
        await progress;
        return result;
    }

    /// <param name="path">A snapshot's folder or a GGUF file.</param>
    public static Tokenizer LoadTokenizer(string path)
    {
        if (Directory.Exists(path))
        {
            return TokenizerLoader.LoadSnapshot(path);
        }

        using GgufFile file = GgufFile.Open(path);
        return TokenizerLoader.Load(file.Metadata);
    }

    private static async Task<int> WarmUpAsync(LoadGenerator load, Conversation[] conversations, CancellationToken cancellationToken)
    {
        await load.RunAsync(conversations, new double[conversations.Length], cancellationToken);
        RequestRecord[] failed = [.. load.Records.Where(record => !record.IsComplete)];
        return failed.Length == 0 || failed.Length < conversations.Length
            ? failed.Length
            : throw new InvalidOperationException($"all {failed.Length} requests of the warm-up failed, the first: {failed[0].Error}");
    }

    private static void Check(ServeOptions options, Tokenizer? tokenizer)
    {
        bool isChat = options.IsHttp && OpenAiGenerationClient.IsChat(options.Address);
        string? fault = options switch
        {
            { Conversations: < 1 } => "--count is at least 1",
            { Rate: not > 0 } or { Burstiness: not > 0 } => "--rate and --burstiness are above 0",
            { SharedPrefix: not (>= 0 and <= 1) } => "--shared-prefix is 0 to 1",
            { MaxConcurrency: < 1 } or { Connections: < 1 } or { Turns: < 1 } => "--max-concurrency, --connections and --turns are at least 1",
            { SystemTokens: < 0 } or { WarmUp: < 0 } or { Skip: < 0 } => "--system, --warm-up and --skip are at least 0",
            { Workload: not ("synthetic" or "sharegpt" or "agents") } => $"there is no workload \"{options.Workload}\"",
            { Workload: "sharegpt", File: null } => "--workload sharegpt needs --file",
            { IsHttp: false, AsText: true } => "gRPC gets token ids; --text is for --http",
            _ when tokenizer is null && (isChat || options.AsText || options.Workload == "sharegpt" || (options.IsHttp && options.Workload == "agents")) =>
                "text needs --tokenizer: chats, --text, ShareGPT's files, and agents over HTTP",
            _ => null,
        };
        if (fault is not null)
        {
            throw new ArgumentException(fault);
        }
    }

    private static IGenerationClient Client(ServeOptions options, Tokenizer? tokenizer) => options.IsHttp
        ? new OpenAiGenerationClient(options.Address, options.Model, tokenizer, options.AsText, options.Headers)
        : new GrpcGenerationClient(options.Address, options.Connections);

    /// <returns>Ids to draw from, and the name of what answers.</returns>
    private static async Task<(int First, int End, string Name)> ModelAsync(
        IGenerationClient client, ServeOptions options, Tokenizer? tokenizer, CancellationToken cancellationToken)
    {
        int end = tokenizer?.OrdinarySize ?? FewestIds;
        string name = options.Model;
        if (client is GrpcGenerationClient grpc)
        {
            GetModelInfoResponse model = await grpc.GetModelAsync(cancellationToken);
            end = tokenizer is null ? (int)model.VocabularySize : end;
            name = model.Name;
        }

        return (Math.Min(FirstOrdinaryId, end / 2), end, name);
    }

    private static IEnumerable<Conversation> Make(ServeOptions options, Tokenizer? tokenizer, TokenSource ids, Random random) => options.Workload switch
    {
        "sharegpt" => ShareGptWorkload.Read(options.File!, options.Conversations, tokenizer!, random, options.Skip),
        "agents" => new AgentWorkload(options.SystemTokens, options.Turns, options.Input, options.Output).Make(options.Conversations, ids, random),
        _ => new SyntheticWorkload(options.Input, options.Output, options.SharedPrefix).Make(options.Conversations, ids, random),
    };
}
