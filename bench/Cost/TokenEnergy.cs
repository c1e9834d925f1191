namespace LlamaServe.Bench.Cost;

/// <summary>Joules of a token of each kind: all that the counter counted during its run, what idles included.</summary>
/// <param name="Counter">What was counted.</param>
/// <param name="CachedInput">null where the input sent again was not in the cache.</param>
internal sealed record TokenEnergy(string Counter, double Input, double? CachedInput, double Output);
