#!/usr/bin/env pwsh
# Thin wrapper over dotnet: ./build.ps1 [build|test|format|serve|bench|cubins|gpu|publish] [more arguments]
param(
    [ValidateSet('build', 'test', 'format', 'serve', 'bench', 'cubins', 'gpu', 'publish')] [string] $Verb = 'build',
    [Parameter(ValueFromRemainingArguments)] [string[]] $More
)
$ErrorActionPreference = 'Stop'
Set-Location $PSScriptRoot
switch ($Verb) {
    'build' { dotnet build -c Release @More }
    'test' { dotnet test -c Release @More }
    'format' { dotnet format @More }
    'serve' { dotnet run -c Release --project server -- @More }
    'bench' { dotnet run -c Release --project bench -- @More }
    'cubins' { dotnet run -c Release --project bench -- cubins @More }
    'gpu' { dotnet build -c Release; dotnet run -c Release --no-build --project bench -- gpu @More }
    'publish' { dotnet publish server -c Release @More }
}
exit $LASTEXITCODE
