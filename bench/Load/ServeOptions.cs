namespace LlamaServe.Bench.Load;

/// <summary>What <c>serve</c> was asked to do.</summary>
/// <param name="Address">Of the server; for HTTP with the path of the endpoint.</param>
/// <param name="IsHttp">OpenAI's interface instead of gRPC.</param>
/// <param name="Model">Name to ask for over HTTP; empty: the first that the server lists.</param>
/// <param name="Tokenizer">Folder or file of the model's tokenizer; null where ids are enough.</param>
/// <param name="AsText">Whether prompts go out as text.</param>
/// <param name="Workload"><c>synthetic</c>, <c>sharegpt</c> or <c>agents</c>.</param>
/// <param name="Conversations">How many.</param>
/// <param name="Rate">Conversations a second; infinity: all at once.</param>
/// <param name="Burstiness">Shape of the gaps' gamma distribution.</param>
/// <param name="Seed">Of lengths and arrivals.</param>
/// <param name="IdSeed">Of token ids; another one for each run, or it finds the prefixes of the run before in the server's cache.</param>
/// <param name="WarmUp">Requests before the measured ones.</param>
internal sealed record ServeOptions(
    Uri Address, bool IsHttp, string Model, string? Tokenizer, bool AsText,
    string Workload, string? File, LengthDistribution Input, LengthDistribution Output, double SharedPrefix, int Turns, int SystemTokens,
    int Conversations, double Rate, double Burstiness, int? MaxConcurrency, int Connections, int Seed, int IdSeed, int WarmUp, ServiceLevel? Goal)
{
    /// <summary>Sent with every request over HTTP.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Headers { get; init; } = [];

    /// <summary>Conversations of the file to pass over: those that earlier runs with the same seed have sent.</summary>
    public int Skip { get; init; }
}
