namespace LlamaServe.Bench;

/// <summary>How this program was called, as results keep it: without what is nobody else's business.</summary>
internal static class CommandLine
{
    private const string Hidden = "***";

    private static readonly string[] Secrets = ["--api-key", "--header"];

    /// <summary>Of this process.</summary>
    public static string Current => Of(Environment.GetCommandLineArgs()[1..]);

    /// <summary>The same of any arguments: what follows an option for keys and headers, also after = or :, is starred out.</summary>
    public static string Of(IReadOnlyList<string> arguments)
    {
        List<string> shown = ["bench"];
        for (int i = 0; i < arguments.Count; i++)
        {
            string? joined = Secrets.FirstOrDefault(name => arguments[i].StartsWith(name + "=", StringComparison.Ordinal) || arguments[i].StartsWith(name + ":", StringComparison.Ordinal));
            bool follows = i > 0 && Secrets.Contains(arguments[i - 1]);
            shown.Add(follows ? Hidden : joined is null ? arguments[i] : $"{joined}={Hidden}");
        }

        return string.Join(' ', shown);
    }
}
